// Pictures by their addresses: fetched before they are in sight, the nearest first, and held.
const AT_ONCE = 4, HELD = 400, PAUSE = 3;

class Refused extends Error {
  constructor(text, seconds, all) { super(text); Object.assign(this, { seconds, all }); }
}

class Loader {
  constructor(changed) {
    this.changed = changed;
    this.pictures = new Map();  // address -> <img>, the least lately used first
    this.refusals = new Map();  // address -> { text, until }
    this.pending = new Set();
    this.wanted = [];
    this.closed = 0;  // nothing is asked for before then
    this.ticket = null;
  }

  // Another ticket, or another picture: what was refused may be given now.
  admit(ticket) {
    if (ticket === this.ticket) return;
    this.ticket = ticket;
    this.refusals.clear();
  }

  get(url) {
    const picture = this.pictures.get(url);
    if (picture) { this.pictures.delete(url); this.pictures.set(url, picture); }
    return picture;
  }

  refusal(url) { return this.refusals.get(url)?.text; }

  // In this order; what was wanted before and is not yet begun is forgotten.
  want(urls) {
    this.wanted = urls;
    this.pump();
  }

  pump() {
    const now = Date.now();
    clearTimeout(this.timer);
    const open = this.wanted.filter((url) => !this.pictures.has(url) && !this.pending.has(url));
    const from = (url) => Math.max(this.closed, this.refusals.get(url)?.until ?? 0);
    for (const url of open) {
      if (this.pending.size >= AT_ONCE) return;
      if (from(url) <= now) this.take(url);
    }
    const next = Math.min(...open.map(from).filter((at) => at > now && at < Infinity));
    if (next < Infinity) this.timer = setTimeout(() => this.pump(), next - now + 10);
  }

  async take(url) {
    this.pending.add(url);
    try {
      this.hold(url, await fetched(url, this.ticket));
    } catch (error) {
      const { text, seconds, all } = error instanceof Refused ? { ...error, text: error.message }
        : { text: "The page's server cannot be reached.", seconds: PAUSE, all: true };
      const until = Date.now() + seconds * 1000;
      this.refusals.set(url, { text, until });
      if (all) this.closed = until;
    }
    this.pending.delete(url);
    this.changed(url);
    this.pump();
  }

  hold(url, picture) {
    this.refusals.delete(url);
    this.pictures.set(url, picture);
    for (const old of this.pictures.keys()) {
      if (this.pictures.size <= HELD) break;
      this.forget(old);
    }
  }

  forget(url) {
    const picture = this.pictures.get(url);
    if (picture) URL.revokeObjectURL(picture.src);
    this.pictures.delete(url);
  }

  clear() {
    for (const url of [...this.pictures.keys()]) this.forget(url);
    this.refusals.clear();
    this.want([]);
  }
}

async function fetched(url, ticket) {
  const headers = ticket ? { "X-Vesalius-Ticket": ticket } : {};
  const response = await fetch(url, { headers, cache: "no-store" });
  if (!response.ok) {
    const problem = await response.json().catch(() => null);
    const text = problem?.text ?? `The page's server answered ${response.status}.`;
    const passing = response.status === 429 || response.status >= 500;
    throw new Refused(text, passing ? problem?.retry_after || PAUSE : Infinity, response.status === 429);
  }
  const picture = new Image();
  picture.src = URL.createObjectURL(await response.blob());
  await picture.decode();
  return picture;
}
