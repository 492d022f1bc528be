// One stack of pictures: which frame, through which window. What is drawn is always the API's own
// picture; only while one is on its way, the last one stands for it.
const AHEAD = 32, REST = 250;

function setUpViewer(root) {
  const find = (name) => root.querySelector(`.${name}`);
  const [slider, play, full, mini] = ["slider", "play", "full", "mini"].map(find);
  const marks = setUpMarks(root);
  const loader = new Loader(refresh);
  const stage = setUpStage(root, marks.place);
  const windows = setUpWindows(root, setWindow);
  let data = { slices: [], marks: [] }, send = () => {};
  // page: the view that the page's script knows of; sent: where it last sent the viewer.
  let page = null, sent = null;
  let at = 0, window_ = null, inSight = null, hand = null, cine = 0, resting = 0, reports = 0;

  const address = (index, window) => {
    if (data.src) return data.src;
    const [image, frame] = data.slices[index], query = new URLSearchParams();
    if (frame !== null) query.set("frame", frame);
    if (window) { query.set("centre", window[0]); query.set("width", window[1]); }
    return `${data.base}/${encodeURIComponent(image)}?${query}`;
  };
  const several = () => data.slices.length > 1;

  // What is wanted, if it is here; else the last one, and a line where it is refused.
  function refresh(arrived) {
    const url = address(at, window_), picture = loader.get(url);
    if (picture) show(picture, window_);
    else if (hand?.passed.has(arrived)) show(loader.get(arrived), hand.passed.get(arrived));
    const refusal = picture ? "" : loader.refusal(url) ?? "";
    Object.assign(find("refusal"), { textContent: refusal, hidden: !refusal });
    write();
  }
  function show(picture, window) {
    if (!picture) return;
    picture.alt = data.alt;
    inSight = { at, window };
    root.style.setProperty("--share", picture.naturalWidth / picture.naturalHeight);
    stage.put(picture);
    if (mini.firstChild.src !== picture.src) mini.firstChild.src = picture.src;
    const boxes = data.marks.find((one) => one.at === at && same(one.window, window))?.boxes ?? [];
    marks.set(boxes);
    marks.button.hidden = !boxes.length;
    if (boxes.length) picture.alt += `. Marked: ${boxes.map((box) => box.label).join(", ")}`;
    stage.paint();
  }
  function write() {
    const count = data.slices.length, noun = data.slices[0][1] === null ? "Picture" : "Frame";
    const coming = inSight && inSight.at !== at ? ` · ${at + 1} is on its way` : "";
    find("at").textContent = several() && inSight ? `${noun} ${inSight.at + 1} of ${count}${coming}` : "";
    slider.value = at + 1;
    slider.setAttribute("aria-label", noun);
    slider.setAttribute("aria-valuetext", `${noun} ${at + 1} of ${count}`);
    const near = inSight?.at === at ? inSight.window : window_;
    windows.write(window_, near);
    // A hand sees what it does at once: until the picture is here, from that of the window before.
    stage.stage.style.setProperty("--shades", hand ? windows.filter(window_, near) : "");
  }
  function wish() {
    const order = [at];
    // While a hand is at the window its neighbours would be fetched for nothing.
    if (!hand) for (let n = 1; n <= AHEAD; n++) order.push(at + n, at - n);
    loader.want(order.filter((n) => n in data.slices).map((n) => address(n, window_)));
    refresh();
    clearTimeout(resting);
    if (!hand && !cine) resting = setTimeout(rest, REST);
  }
  // Questions are asked of what is in sight, never of what is on its way.
  function report() {
    if (!inSight || data.src || (inSight.at === page.at && same(inSight.window, page.window))) return;
    page = inSight;
    const [image, frame] = data.slices[inSight.at];
    // Numbered: to come back to a view is news, too.
    send({ image, frame, window: inSight.window, number: ++reports });
  }
  // Once hand and picture have come to rest: the page is made anew for it.
  function rest() {
    if (inSight?.at === at && inSight.window === window_) report();
    else resting = setTimeout(rest, REST);
  }
  function go(index) {
    const next = Math.max(0, Math.min(data.slices.length - 1, index));
    if (next === at) return;
    at = next;
    wish();
  }
  function setWindow(window) {
    window_ = window && window.map((value) => Number(value.toPrecision(6)));
    wish();
  }
  // From where the hand began: rounding must not hold a slow one back.
  function drag(x, y) {
    hand = hand ?? { from: window_ ?? data.own, x: 0, y: 0, passed: new Map() };
    hand.x += x;
    hand.y += y;
    const [centre, width] = hand.from, fine = width > 20 ? Math.round : (value) => value;
    const next = [centre + (hand.y * width) / 300, width * Math.exp(hand.x / 200)].map(fine);
    setWindow([next[0], Math.max(next[1], width > 20 ? 1 : width / 1000)]);
    hand.passed.set(address(at, window_), window_);
  }
  function drop() {
    if (!hand) return;
    hand.passed.delete(address(at, window_));
    for (const url of hand.passed.keys()) loader.forget(url);
    hand = null;
    wish();
  }
  function turn() {
    const next = (at + 1) % data.slices.length;
    // As fast as they come, and none is left out.
    if (inSight?.at === at) go(next);
  }
  function playing(on) {
    const before = cine;
    clearInterval(cine);
    cine = on ? setInterval(turn, 1000 / data.rate) : 0;
    play.setAttribute("aria-pressed", on);
    play.textContent = on ? "Pause" : "Play";
    if (before && !on) wish();
  }
  const invert = find("invert").onclick = () => {
    const on = root.classList.toggle("inverted");
    find("invert").setAttribute("aria-pressed", on);
  };
  play.onclick = () => playing(!cine);
  slider.oninput = () => go(slider.value - 1);
  full.hidden = !document.fullscreenEnabled;
  full.onclick = async () => {
    await (root.getRootNode().fullscreenElement ? document.exitFullscreen() : root.requestFullscreen());
    stage.stage.focus();
  };
  mini.onclick = () => stage.stage.scrollIntoView({ block: "center" });
  // On a phone, where the talk is below it: a small one stays in sight.
  const watch = new IntersectionObserver(([entry]) => {
    mini.hidden = entry.intersectionRatio > 0.3 || innerWidth > 640;
  }, { threshold: 0.3 });
  watch.observe(stage.stage);
  // Who turns to something else may be about to ask.
  const leave = (event) => {
    if (event.composedPath().includes(root)) return;
    playing(false);
    report();
  };
  const leaving = ["pointerdown", "keydown"];
  leaving.forEach((name) => document.addEventListener(name, leave, true));

  const viewer = {
    stage, several, drag, drop, invert,
    windowed: () => Boolean(data.own),
    step: (count) => go(Math.max(0, Math.min(data.slices.length - 1, at + count))),
    toggleBoxes: () => marks.button.hidden || marks.toggle(),
    full: () => full.hidden || full.onclick(),
    play: () => several() && play.onclick(),
  };
  setUpGestures(root, viewer);

  function update(next, setStateValue) {
    const other = next.key !== data.key || !same(next.slices, data.slices);
    if (other) { playing(false); loader.clear(); inSight = null; }
    send = (view) => setStateValue("view", view);
    const move = other || (next.move && !(next.at === sent?.at && same(next.window, sent.window)));
    sent = next.move ? { at: next.at, window: next.window } : null;
    data = next;
    loader.admit(data.ticket);
    describe();
    if (move) {
      page = { at: data.at, window: data.window };
      ({ at, window: window_ } = page);
    }
    wish();
  }
  function describe() {
    stage.setSpacing(data.spacing);
    slider.max = data.slices.length;
    find("stack").hidden = !several();
    ["left", "right", "upper", "lower"].forEach((name, n) => { find(name).textContent = data.sides?.[n] ?? ""; });
    find("notice").textContent = data.notice;
    find("unseen").textContent = data.keys;
    windows.describe(data);
  }
  function close() {
    playing(false);
    clearTimeout(resting);
    loader.clear();
    stage.close();
    watch.disconnect();
    leaving.forEach((name) => document.removeEventListener(name, leave, true));
  }
  return { update, close };
}

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".viewer");
  if (!root) return;
  root.works = root.works ?? setUpViewer(root);
  root.works.update(data, setStateValue);
  return () => {
    root.works?.close();
    delete root.works;
  };
}
