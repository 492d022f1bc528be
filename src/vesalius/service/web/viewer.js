// Zoom and pan of one picture. State lives on the element, so a new view of the picture keeps it.
const MOST = 12;

function setUp(root) {
  const stage = root.querySelector(".stage"), img = root.querySelector("img");
  const said = root.querySelector(".said"), touching = new Map();
  const marks = setUpMarks(root);
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
    marks.place(w, h, at);
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
      ArrowUp: () => move(0, step), ArrowDown: () => move(0, -step), b: marks.toggle,
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
  new ResizeObserver(paint).observe(stage);
  return { at, fit, img, marks, paint };
}

// Boxes and outlines over the picture. They are placed anew at every zoom and not scaled with it, so
// that lines stay thin and labels readable.
function setUpMarks(root) {
  const layer = root.querySelector(".marks"), toggle = root.querySelector(".toggle");
  const tools = root.querySelector(".tools");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  let drawn = [], size = [1, 1], known = "";
  const flip = toggle.onclick = () => {
    const on = toggle.getAttribute("aria-pressed") !== "true";
    toggle.setAttribute("aria-pressed", on);
    layer.hidden = !on;
  };
  function element(name, tint) {
    const made = document.createElement(name);
    made.style.setProperty("--tint", tint);
    layer.append(made);
    return made;
  }
  function set(boxes, width, height) {
    size = [width, height];
    toggle.hidden = !boxes.length;
    const now = JSON.stringify(boxes);
    if (now === known) return;
    known = now;
    layer.replaceChildren(svg);
    svg.replaceChildren();
    drawn = boxes.map((box) => {
      const edge = box.polygon
        ? svg.appendChild(document.createElementNS(svg.namespaceURI, "polygon"))
        : element("div", box.tint);
      edge.style.setProperty("--tint", box.tint);
      const tag = element("span", box.tint);
      // As text: a model's words must not become HTML.
      tag.textContent = box.score === null ? box.label : `${box.label} ${box.score.toFixed(2)}`;
      return { box, edge, tag };
    });
  }
  function place(w, h, at) {
    const sx = (w / size[0]) * at.zoom, sy = (h / size[1]) * at.zoom;
    const left = w / 2 + at.x - (size[0] * sx) / 2, top = h / 2 + at.y - (size[1] * sy) / 2;
    const area = layer.getBoundingClientRect();
    const { x: toolsX, y: toolsY, width, height } = tools.getBoundingClientRect();
    const taken = [[toolsX - area.x, toolsY - area.y, width, height]];
    for (const { box, edge, tag } of drawn) {
      const x = left + box.x * sx, y = top + box.y * sy;
      const wide = box.width * sx, high = box.height * sy;
      if (box.polygon) {
        const points = box.polygon.map(([px, py]) => `${left + px * sx},${top + py * sy}`);
        edge.setAttribute("points", points.join(" "));
      } else {
        Object.assign(edge.style, {
          left: `${x}px`, top: `${y}px`, width: `${wide}px`, height: `${high}px`,
        });
      }
      const out = x > w || y > h || x + wide < 0 || y + high < 0;
      tag.style.visibility = out ? "hidden" : "";
      if (out) continue;
      const tw = tag.offsetWidth, th = tag.offsetHeight;
      const columns = [Math.max(0, x), Math.min(w, x + wide) - tw, x + wide, x - tw];
      const rows = [1, 0, 2, 3].flatMap((n) => [y - n * th, y + high + (n - 1) * th]);
      const places = rows.flatMap((py) => columns.map((px) => [px, py]));
      const inside = ([px, py]) => px >= 0 && py >= 0 && px + tw <= w && py + th <= h;
      const free = ([px, py]) => !taken.some(([ox, oy, ow, oh]) =>
        px < ox + ow && ox < px + tw && py < oy + oh && oy < py + th);
      const [px, py] = places.find((one) => inside(one) && free(one)) ||
        places.find(inside) || [Math.max(0, Math.min(w - tw, x)), Math.max(0, y)];
      taken.push([px, py, tw, th]);
      Object.assign(tag.style, { left: `${px}px`, top: `${py}px` });
    }
  }
  return { set, place, toggle: flip };
}

export default function (component) {
  const { data, parentElement } = component;
  const root = parentElement.querySelector(".viewer");
  if (!root) return;
  root.works = root.works || setUp(root);
  const { at, fit, img, marks, paint } = root.works;
  if (img.src !== data.src) img.src = data.src;
  img.alt = data.alt;
  root.style.setProperty("--ratio", `${data.width} / ${data.height}`);
  root.style.setProperty("--share", data.width / data.height);
  marks.set(data.marks, data.width, data.height);
  if (at.key !== data.key) { at.key = data.key; fit(); } else paint();
}
