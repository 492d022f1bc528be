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

// IndexedDB: what localStorage has of a page from a file, Chromium lost at every twentieth reload.
const opened = new Promise((resolve, reject) => {
  const request = indexedDB.open(key, 1);
  request.onupgradeneeded = () => request.result.createObjectStore("state");
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

function transact(mode, work) {
  return opened.then((database) => new Promise((resolve, reject) => {
    const transaction = database.transaction("state", mode);
    const request = work(transaction.objectStore("state"));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = () => reject(transaction.error);
  })).catch(() => { // a browser may refuse to store anything for a page from a file: then say so
    document.getElementById("unstored").hidden = false;
  });
}

function keep() {
  const rows = Object.fromEntries(items.map((item) => [item.dataset.id, read(item)]));
  transact("readwrite", (store) => store.put({ rater: rater.value, rows }, "now")).then(update);
}

function restore(state) {
  if (state) {
    rater.value = state.rater;
    for (const item of items) if (state.rows[item.dataset.id]) write(item, state.rows[item.dataset.id]);
  }
  rater.addEventListener("change", order);
  document.addEventListener("input", keep);
  order();
  update();
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

document.getElementById("download").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
  link.download = "ratings.csv";
  link.click();
  URL.revokeObjectURL(link.href);
});
transact("readonly", (store) => store.get("now")).then(restore);
