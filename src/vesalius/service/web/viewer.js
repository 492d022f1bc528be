// Zoom and pan of one picture. State lives on the element, so a new view of the picture keeps it.
const MOST = 12;

function setUp(root) {
  const stage = root.querySelector(".stage"), img = root.querySelector("img");
  const said = root.querySelector(".said"), touching = new Map();
  const at = { zoom: 1, x: 0, y: 0, key: null };
  let pinched = 0;

  function paint() {
    const { clientWidth: w, clientHeight: h } = stage;
    const room = (side) => (side * (at.zoom - 1)) / 2;
    at.x = Math.max(-room(w), Math.min(room(w), at.x));
    at.y = Math.max(-room(h), Math.min(room(h), at.y));
    img.style.transform = `translate(${at.x}px, ${at.y}px) scale(${at.zoom})`;
    stage.classList.toggle("zoomed", at.zoom > 1);
    said.textContent = `${at.zoom.toFixed(1)}×`;
  }
  function zoom(factor, event) {
    const before = at.zoom;
    at.zoom = Math.max(1, Math.min(MOST, at.zoom * factor));
    const box = stage.getBoundingClientRect(), grown = at.zoom / before;
    const px = event ? event.clientX - box.left - box.width / 2 : 0;
    const py = event ? event.clientY - box.top - box.height / 2 : 0;
    at.x = px - (px - at.x) * grown;
    at.y = py - (py - at.y) * grown;
    paint();
  }
  function fit() { at.zoom = 1; at.x = at.y = 0; paint(); }
  function move(x, y) { at.x += x; at.y += y; paint(); }

  root.querySelector(".in").onclick = () => zoom(1.5);
  root.querySelector(".out").onclick = () => zoom(1 / 1.5);
  root.querySelector(".fit").onclick = fit;
  stage.ondblclick = (event) => (at.zoom > 1 ? fit() : zoom(2.5, event));
  stage.addEventListener("wheel", (event) => {
    // Without Ctrl the wheel scrolls the page, as everywhere; a pinch on a trackpad has Ctrl.
    if (!event.ctrlKey && at.zoom === 1) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 300), event);
  }, { passive: false });
  stage.onkeydown = (event) => {
    const step = 40;
    const does = {
      "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), "0": fit,
      ArrowLeft: () => move(step, 0), ArrowRight: () => move(-step, 0),
      ArrowUp: () => move(0, step), ArrowDown: () => move(0, -step),
    }[event.key];
    if (!does || (event.key.startsWith("Arrow") && at.zoom === 1)) return;
    event.preventDefault();
    does();
  };
  stage.onpointerdown = (event) => {
    touching.set(event.pointerId, event);
    if (at.zoom > 1 || touching.size === 2) stage.setPointerCapture(event.pointerId);
    pinched = 0;
  };
  stage.onpointermove = (event) => {
    const before = touching.get(event.pointerId);
    if (!before) return;
    touching.set(event.pointerId, event);
    if (touching.size === 2) {
      const [a, b] = [...touching.values()];
      const apart = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
      const middle = { clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2 };
      if (pinched) zoom(apart / pinched, middle);
      pinched = apart;
    } else if (at.zoom > 1) move(event.clientX - before.clientX, event.clientY - before.clientY);
  };
  stage.onpointerup = stage.onpointercancel = (event) => {
    touching.delete(event.pointerId);
    pinched = 0;
  };
  return { at, fit, img };
}

export default function (component) {
  const { data, parentElement } = component;
  const root = parentElement.querySelector(".viewer");
  if (!root) return;
  root.works = root.works || setUp(root);
  const { at, fit, img } = root.works;
  if (img.src !== data.src) img.src = data.src;
  img.alt = data.alt;
  root.style.setProperty("--ratio", `${data.width} / ${data.height}`);
  root.style.setProperty("--share", data.width / data.height);
  if (at.key !== data.key) { at.key = data.key; fit(); }
}
