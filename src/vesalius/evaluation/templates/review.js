"use strict";
const list = document.getElementById("items");
const rater = document.getElementById("rater");
const items = [...list.querySelectorAll(".item")];
const review = list.dataset.review;
const fields = ["accuracy", "relevance", "completeness", "clarity", "helpfulness"];
const key = "vesalius " + review;

function read(item) {
  const axes = {};
  for (const one of item.querySelectorAll("[data-axis]:checked")) axes[one.dataset.axis] = one.value;
  const none = item.querySelector("[data-none]").checked;
  return {
    axes: none ? {} : axes, none,
    errors: [...item.querySelectorAll("[data-tag]:checked")].map((one) => one.dataset.tag),
    comment: item.querySelector("textarea").value,
  };
}

function write(item, row) {
  for (const one of item.querySelectorAll("[data-axis]")) one.checked = row.axes[one.dataset.axis] === one.value;
  for (const one of item.querySelectorAll("[data-tag]")) one.checked = row.errors.includes(one.dataset.tag);
  item.querySelector("[data-none]").checked = row.none;
  item.querySelector("textarea").value = row.comment;
}

const whole = (row) => row.none || fields.every((axis) => axis in row.axes);

function update() {
  let done = 0;
  for (const item of items) {
    const ready = whole(read(item));
    item.classList.toggle("whole", ready);
    done += ready;
  }
  document.getElementById("progress").textContent = `${done} of ${items.length} rated`
    + (rater.value.trim() ? "" : "; your pseudonym is missing");
  document.getElementById("download").disabled = !done || !rater.value.trim();
}

// Each rater in an order of their own (FNV-1a of pseudonym and item).
function place(name, id) {
  let hash = 2166136261;
  for (const c of name + id) hash = Math.imul(hash ^ c.codePointAt(0), 16777619);
  return hash >>> 0;
}

function order() {
  const name = rater.value.trim();
  for (const item of [...items].sort((a, b) => place(name, a.dataset.id) - place(name, b.dataset.id))) list.append(item);
}

function keep() {
  const rows = Object.fromEntries(items.map((item) => [item.dataset.id, read(item)]));
  store(() => localStorage.setItem(key, JSON.stringify({ rater: rater.value, rows })));
  update();
}

// A browser may refuse to store anything for a page from a file: then say so.
function store(work) {
  try { return work(); }
  catch { document.getElementById("unstored").hidden = false; return null; }
}

const cell = (text) => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;

function table() {
  const lines = [["review", "id", "rater", ...fields, "errors", "comment", "cannot_judge"]];
  for (const item of items) {
    const row = read(item);
    if (!whole(row)) continue;
    lines.push([review, item.dataset.id, rater.value.trim(), ...fields.map((axis) => row.axes[axis] ?? ""),
      row.errors.join(";"), row.comment, row.none ? "true" : ""]);
  }
  return lines.map((line) => line.map(cell).join(",") + "\r\n").join("");
}

const before = store(() => localStorage.getItem(key));
if (before) {
  const state = JSON.parse(before);
  rater.value = state.rater;
  for (const item of items) if (state.rows[item.dataset.id]) write(item, state.rows[item.dataset.id]);
}
rater.addEventListener("change", order);
document.addEventListener("input", keep);
document.getElementById("download").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
  link.download = "ratings.csv";
  link.click();
  URL.revokeObjectURL(link.href);
});
order();
update();
