// Rating by keyboard: 1 to 5 grade the marked line, up and down choose another, Enter saves.
const GROUP = '[data-testid="stButtonGroup"]';
const PRESS = { enter: 0, c: 1, b: 2 };
let item = null;

const lines = () => [...document.querySelectorAll(`.st-key-grades-${item} ${GROUP}`)];
const rated = (line) => line.querySelector('[aria-checked="true"]');
const at = () => Math.max(0, lines().findIndex((line) => line.dataset.at));
function mark(index) {
  lines().forEach((line, i) => { if (i === index) line.dataset.at = "yes"; else delete line.dataset.at; });
}
function grade(digit) {
  const line = lines()[at()];
  const button = [...(line?.querySelectorAll("button") ?? [])][digit - 1];
  if (!button) return;
  if (button !== rated(line)) button.click();  // a second press would take the grade away
  const after = at() + 1, open = lines().findIndex((one, i) => i >= after && !rated(one));
  mark(open < 0 ? Math.min(after, lines().length - 1) : open);
}
function onKey(event) {
  const [target] = event.composedPath();
  const typing = target.closest?.("input, textarea, [contenteditable], .viewer");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !lines().length) return;
  const key = event.key.toLowerCase();
  if (/^[1-5]$/.test(key)) grade(Number(key));
  else if (key === "arrowdown") mark(Math.min(lines().length - 1, at() + 1));
  else if (key === "arrowup") mark(Math.max(0, at() - 1));
  else if (key in PRESS && !(key === "enter" && target.closest?.("button, a, summary")))
    document.querySelectorAll(".st-key-rating-buttons button")[PRESS[key]]?.click();
  else return;
  event.preventDefault();
}
export default function ({ data }) {
  // Once a page, however often it is laid out: the last layout's handler goes.
  removeEventListener("keydown", window.vesaliusRating);
  window.vesaliusRating = onKey;
  addEventListener("keydown", onKey);
  if (item === data.item && lines().some((line) => line.dataset.at)) return;
  item = data.item;
  // Keys are the form's, once a part of the review was chosen: Enter would choose that again.
  const { activeElement } = document;
  if (activeElement?.closest(".st-key-review-part")) activeElement.blur();
  // Its lines come before or after this, as Streamlit sends them.
  const begin = () => { if (lines().length) mark(0); else if (item === data.item) setTimeout(begin, 50); };
  begin();
}
