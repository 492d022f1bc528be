// Boxes and outlines over the picture. They are placed anew at every zoom and not scaled with it, so
// that lines stay thin and labels readable.
function setUpMarks(root) {
  const layer = root.querySelector(".marks"), toggle = root.querySelector(".toggle");
  const corners = [...root.querySelectorAll(".corner")];
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  let drawn = [], known = "";
  const flip = toggle.onclick = () => {
    const on = toggle.getAttribute("aria-pressed") !== "true";
    toggle.setAttribute("aria-pressed", on);
    layer.hidden = !on;
  };
  function element(name, tint) {
    const added = document.createElement(name);
    added.style.setProperty("--tint", tint);
    layer.append(added);
    return added;
  }
  function set(boxes) {
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
  // left, top: where the picture's corner is on the stage of w x h; scale: of its pixels.
  function place({ left, top, scale, w, h }) {
    const area = layer.getBoundingClientRect();
    const taken = corners.filter((one) => one.textContent && !one.hidden).map((one) => {
      const { x, y, width, height } = one.getBoundingClientRect();
      return [x - area.x, y - area.y, width, height];
    });
    for (const { box, edge, tag } of drawn) {
      const x = left + box.x * scale, y = top + box.y * scale;
      const wide = box.width * scale, high = box.height * scale;
      if (box.polygon) {
        const points = box.polygon.map(([px, py]) => `${left + px * scale},${top + py * scale}`);
        edge.setAttribute("points", points.join(" "));
      } else {
        Object.assign(edge.style, {
          left: `${x}px`, top: `${y}px`, width: `${wide}px`, height: `${high}px`,
        });
      }
      const out = x > w || y > h || x + wide < 0 || y + high < 0;
      tag.style.visibility = out ? "hidden" : "";
      if (!out) taken.push(placeTag(tag, [x, y, wide, high], [w, h], taken));
    }
  }
  return { set, place, toggle: flip, button: toggle };
}

// Beside its box, within the stage, and over no other label where there is room.
function placeTag(tag, [x, y, wide, high], [w, h], taken) {
  const tw = tag.offsetWidth, th = tag.offsetHeight;
  const columns = [Math.max(0, x), Math.min(w, x + wide) - tw, x + wide, x - tw];
  const rows = [1, 0, 2, 3].flatMap((n) => [y - n * th, y + high + (n - 1) * th]);
  const places = rows.flatMap((py) => columns.map((px) => [px, py]));
  const inside = ([px, py]) => px >= 0 && py >= 0 && px + tw <= w && py + th <= h;
  const free = ([px, py]) => !taken.some(([ox, oy, ow, oh]) =>
    px < ox + ow && ox < px + tw && py < oy + oh && oy < py + th);
  const [px, py] = places.find((one) => inside(one) && free(one)) ||
    places.find(inside) || [Math.max(0, Math.min(w - tw, x)), Math.max(0, y)];
  Object.assign(tag.style, { left: `${px}px`, top: `${py}px` });
  return [px, py, tw, th];
}
