// Where the picture lies on the stage: fit, 1:1, zoom and pan. Knows nothing of frames or windows.
const MOST = 16, STEP = 1.5;

function setUpStage(root, placed) {
  const stage = root.querySelector(".stage"), label = root.querySelector(".zoom");
  const bar = root.querySelector(".scale");
  const at = { scale: 1, x: 0, y: 0, fitted: true };
  let img = null, spacing = null;

  const one = () => 1 / devicePixelRatio;
  const fitting = () =>
    Math.min(stage.clientWidth / img.naturalWidth, stage.clientHeight / img.naturalHeight);
  const zoomed = () => img !== null && at.scale > fitting() * 1.001;

  function paint() {
    const { clientWidth: w, clientHeight: h } = stage;
    if (!img || !w || !h) return;
    if (at.fitted) Object.assign(at, { scale: fitting(), x: 0, y: 0 });
    const width = img.naturalWidth * at.scale, height = img.naturalHeight * at.scale;
    const most = (side, room) => Math.max(0, (side - room) / 2);
    at.x = Math.max(-most(width, w), Math.min(most(width, w), at.x));
    at.y = Math.max(-most(height, h), Math.min(most(height, h), at.y));
    const left = (w - width) / 2 + at.x, top = (h - height) / 2 + at.y;
    Object.assign(img.style, {
      width: `${width}px`, height: `${height}px`, transform: `translate(${left}px, ${top}px)`,
    });
    stage.classList.toggle("zoomed", zoomed());
    label.textContent = `${Math.round((at.scale / one()) * 100)} %`;
    measure();
    placed({ left, top, scale: at.scale, w, h });
  }
  // A bar of 1, 2 or 5 times a power of ten millimetres, at most a quarter as wide as the stage.
  function measure() {
    const square = spacing && Math.abs(spacing[0] - spacing[1]) < 1e-3 * spacing[1];
    bar.hidden = !square;
    if (!square) return;
    const most = (stage.clientWidth / 4 / at.scale) * spacing[1];
    const ten = 10 ** Math.floor(Math.log10(most));
    const mm = [5, 2, 1].find((n) => n * ten <= most) * ten;
    bar.firstChild.style.width = `${(mm / spacing[1]) * at.scale}px`;
    bar.lastChild.textContent = mm >= 10 ? `${mm / 10} cm` : `${+mm.toPrecision(1)} mm`;
  }
  function to(scale, event) {
    if (!img) return;
    const before = at.scale, box = stage.getBoundingClientRect();
    const least = Math.min(fitting(), one()), most = MOST * Math.max(fitting(), one());
    at.scale = Math.max(least, Math.min(most, scale));
    at.fitted = Math.abs(at.scale / fitting() - 1) < 1e-6;
    const grown = at.scale / before;
    const px = event ? event.clientX - box.left - box.width / 2 : 0;
    const py = event ? event.clientY - box.top - box.height / 2 : 0;
    at.x = px - (px - at.x) * grown;
    at.y = py - (py - at.y) * grown;
    paint();
  }
  const zoom = (factor, event) => to(at.scale * factor, event);
  function fit() { at.fitted = true; paint(); }
  function move(x, y) { at.x += x; at.y += y; paint(); }
  // Another frame of the same size stays as it lies; another picture is fitted.
  function put(next) {
    const same = img && next.naturalWidth === img.naturalWidth && next.naturalHeight === img.naturalHeight;
    if (img !== next) {
      if (img) img.replaceWith(next); else stage.prepend(next);
      img = next;
    }
    if (!same) at.fitted = true;
    paint();
  }

  root.querySelector(".in").onclick = () => zoom(STEP);
  root.querySelector(".out").onclick = () => zoom(1 / STEP);
  root.querySelector(".fit").onclick = fit;
  root.querySelector(".one").onclick = () => to(one());
  stage.ondblclick = (event) => (zoomed() ? fit() : zoom(2.5, event));
  const watch = new ResizeObserver(paint);
  watch.observe(stage);
  return {
    stage, put, fit, zoom, move, zoomed, paint,
    one: () => to(one()),
    setSpacing: (value) => { spacing = value; },
    close: () => watch.disconnect(),
  };
}
