# An API image with its weights inside, for where nothing can be mounted. The context is the run:
#
#   docker build -f deploy/baked.Dockerfile --build-arg API=vesalius-api:0.1.0 \
#     -t vesalius-mine:1 runs/mine
#
# A run holds predictions and scores beside its weights. If those may not travel, leave them out:
# a .dockerignore in the run's folder that names predictions.jsonl, scores.json and checkpoints.
ARG API=vesalius-api:0.1.0
# hadolint ignore=DL3006
FROM ${API}
COPY --chmod=a+rX . /srv/weights
ENV VESALIUS_RUN=/srv/weights
