// Conversations and uploads as one list: a Tab stop a row, arrows between rows and to their buttons.
const ICONS = {
  rename: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  delete: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10 11v6M14 11v6",
};
const ACTIONS = { conversation: ["rename", "delete"], image: ["delete"], study: ["delete"] };
const NAMES = { rename: "Rename", delete: "Delete" };
const WAIT = 350;  // ms without a further letter, then it is searched

function element(name, properties, ...inner) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...inner);
  return made;
}
function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.append(Object.assign(document.createElementNS(svg.namespaceURI, "path"), {}));
  svg.firstChild.setAttribute("d", path);
  return svg;
}
function picture(row) {
  const src = window.vesaliusPictures?.[row.picture];
  if (src) return element("img", { src, alt: "" });
  const none = element("span", { className: "none", ariaHidden: "true" });
  addEventListener("vesalius-pictures", () => { if (none.isConnected) none.replaceWith(picture(row)); },
    { once: true });
  return none;
}
function entry(row, tell) {
  // A study is opened at the picture that stands for it.
  const [kind, at] = row.kind === "study" ? ["image", row.picture] : [row.kind, row.id];
  const link = element("a", { href: `./?${kind}=${encodeURIComponent(at)}` },
    picture(row),
    // As text: a question's words must not become HTML.
    element("span", { className: "words" },
      element("span", { className: "title", textContent: row.title }),
      element("small", { textContent: row.detail })));
  link.title = row.title;
  link.onclick = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    tell("open", row);
  };
  const buttons = ACTIONS[row.kind].map((action) => {
    const button = element("button", {
      type: "button", tabIndex: -1, ariaLabel: `${NAMES[action]} “${row.title}”`, title: NAMES[action],
      onclick: () => tell(action, row),
    }, icon(ICONS[action]));
    button.dataset.action = action;
    return button;
  });
  const item = element("li", {}, link, ...buttons);
  item.dataset.id = row.id;
  return item;
}
function onKey(event, list) {
  const item = event.target.closest("li");
  if (!item) return;
  const rows = [...list.querySelectorAll("li")], stops = [...item.querySelectorAll("a, button")];
  const row = rows.indexOf(item), stop = stops.indexOf(event.target.closest("a, button"));
  const press = (action) => item.querySelector(`[data-action=${action}]`)?.click();
  const does = {
    ArrowDown: () => rows[row + 1]?.querySelector("a").focus(),
    ArrowUp: () => rows[row - 1]?.querySelector("a").focus(),
    ArrowRight: () => stops[stop + 1]?.focus(),
    ArrowLeft: () => stops[stop - 1]?.focus(),
    F2: () => press("rename"),
    Delete: () => press("delete"),
  }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
}
function setUp(root) {
  const field = root.querySelector("input"), list = root.querySelector(".list");
  const works = { shown: "", timer: 0, field, list, empty: root.querySelector(".empty") };
  field.oninput = () => {
    clearTimeout(works.timer);
    works.timer = setTimeout(() => works.search(field.value.trim()), WAIT);
  };
  list.onkeydown = (event) => onKey(event, list);
  root.querySelector(".more").onclick = () => works.tell("more", { id: "more" });
  return works;
}

export default function ({ data, parentElement, setTriggerValue, setStateValue }) {
  const root = parentElement.querySelector(".listing");
  if (!root) return;
  const works = root.works ??= setUp(root);
  works.tell = (name, { kind, id }) => setTriggerValue(name, { kind, id });
  works.search = (text) => { if (text !== data.search) setStateValue("search", text); };
  const now = JSON.stringify({ ...data, here: null });
  if (now !== works.shown) draw(root, works, data);
  works.shown = now;
  for (const item of works.list.querySelectorAll("li")) {
    const here = data.here.includes(item.dataset.id);
    item.classList.toggle("here", here);
    item.firstChild.ariaCurrent = here ? "page" : null;
  }
}

function draw(root, works, data) {
  const focused = root.getRootNode().activeElement?.closest?.("li")?.dataset.id;
  works.list.replaceChildren(...data.groups.flatMap(({ name, rows }) => [
    element("h2", { textContent: name }),
    element("ul", { role: "list" }, ...rows.map((row) => entry(row, (...what) => works.tell(...what)))),
  ]));
  root.querySelector(".more").hidden = !data.more;
  works.empty.hidden = data.groups.length > 0;
  works.empty.textContent = data.search ? "Nothing has these words." : "No conversations yet";
  // A focus that was in the list stays in it; where its row went, the list's first one has it.
  if (focused) {
    const again = works.list.querySelector(`li[data-id="${CSS.escape(focused)}"] a`);
    (again ?? works.list.querySelector("a") ?? works.field).focus();
  }
}
