// The window's controls and numbers, and how another window looks until its picture is here.
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

function setUpWindows(root, choose) {
  const find = (name) => root.querySelector(`.${name}`);
  const [presets, centre, width] = ["presets", "centre", "width"].map(find);
  let data = { presets: [] };

  const number = (value) => String(Number(value.toPrecision(5)));

  function describe(next) {
    find("windows").hidden = !next.own;
    if (same(next.presets, data.presets) && same(next.own, data.own)) return;
    data = next;
    presets.replaceChildren(...next.presets.map(([name, window]) => {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: name, window });
      button.onclick = () => choose(window);
      return button;
    }));
  }
  function typed() {
    const window = [centre.valueAsNumber, width.valueAsNumber];
    if (window.every(Number.isFinite) && window[1] > 0) choose(window);
  }
  centre.onchange = width.onchange = typed;

  // window: the one that is wanted; near: that of the picture in sight.
  function write(window, near) {
    if (!data.own) { find("shades").textContent = ""; return; }
    const [c, w] = window ?? data.own, active = root.getRootNode().activeElement;
    const preset = data.presets.find((one) => same(one[1], window)), name = preset ? ` · ${preset[0]}` : "";
    const coming = same(window, near) ? "" : " · on its way";
    find("shades").textContent = `C ${number(c)} W ${number(w)}${data.unit}${name}${coming}`;
    if (active !== centre) centre.value = number(c);
    if (active !== width) width.value = number(w);
    for (const button of presets.children) button.setAttribute("aria-pressed", same(button.window, window));
  }
  // Shades of one window as those of another are a line: exact where neither end is cut.
  function filter(window, near) {
    if (!data.own || same(window, near)) return "";
    const [c, w] = window ?? data.own, [from, span] = near ?? data.own;
    const slope = span / w, rise = (from - c) / w + 0.5 - 0.5 * slope;
    const intercept = data.inverted ? 1 - slope - rise : rise;
    for (const each of root.querySelectorAll("filter [type=linear]")) {
      each.setAttribute("slope", slope);
      each.setAttribute("intercept", intercept);
    }
    return "url(#window)";
  }
  return { describe, write, filter };
}
