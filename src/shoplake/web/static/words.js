"use strict";
// Formats values for people and builds elements. Values of events reach the page as text nodes or as text on
// a canvas, never as HTML.

const $ = (selector, within = document) => within.querySelector(selector);
const TABLE_ROWS = 1000;
const TIMES = new Set(["event_hour", "when", "from", "to"]); // columns; a value of another column that looks like a time is a name

// What is known and shown. An exported page contains its data.
const exported = $("#data") && JSON.parse($("#data").textContent);
const state = { answers: null, health: null, healthAt: 0, last: "", since: "", until: "", asked: 0 };
Object.assign(state, { product: "", category: "", counted: "", distinct: null, earlier: null, searches: null });

const exact = new Intl.NumberFormat("en", { maximumFractionDigits: 20 });
const money = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const percents = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const dates = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });

const short = (value) => compact.format(value);
const percent = (value) => (value === null ? "–" : percents.format(value));
const dayName = (text) => dates.format(new Date(text));
const minute = (text) => text.slice(0, 16).replace("T", " ");
const noun = (number, one) => `${exact.format(number)} ${one}${number === 1 ? "" : "s"}`;

function duration(seconds) {
  for (const [unit, length] of [
    ["day", 86400],
    ["hour", 3600],
    ["minute", 60],
  ]) {
    if (seconds >= length) return noun(Math.floor(seconds / length), unit);
  }
  return noun(Math.max(0, Math.floor(seconds)), "second");
}

/** The text of a table cell; the column decides the format. */
function written(column, value) {
  if (value === null) return "–";
  if (column.endsWith("_rate")) return percent(value);
  if (column === "revenue") return money.format(value);
  if (typeof value === "number") return exact.format(value);
  return TIMES.has(column) ? minute(value) : value;
}

/** An element with attributes and children; a child that is not an element becomes text. */
function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== ""));
  return made;
}

function table(columns, rows) {
  const numeric = columns.map((_, i) => rows.some((row) => typeof row[i] === "number") || columns[i] === "revenue");
  const cell = (kind, i, text, extra = {}) => el(kind, { class: numeric[i] ? "number" : "text", ...extra }, text);
  const head = columns.map((column, i) => cell("th", i, column.replaceAll("_", " "), { scope: "col" }));
  const shown = rows.slice(0, TABLE_ROWS);
  const cells = (row) =>
    row.map((value, i) => cell(i ? "td" : "th", i, written(columns[i], value), i ? {} : { scope: "row" }));
  const whole = el(
    "table",
    {},
    el("thead", {}, el("tr", {}, head)),
    el(
      "tbody",
      {},
      shown.map((row) => el("tr", {}, cells(row))),
    ),
  );
  if (rows.length > shown.length) {
    whole.prepend(el("caption", {}, `First ${exact.format(TABLE_ROWS)} of ${exact.format(rows.length)} rows.`));
  }
  return whole;
}

/** A table as CSV (RFC 4180): all rows, exact; NULL is nothing, an empty text is "". */
function csv(columns, rows) {
  const field = (value) => {
    if (value === null) return "";
    const text = String(value);
    return text === "" || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...rows].map((row) => `${row.map(field).join(",")}\n`).join("");
}

/** Hands a text to the browser as a file. */
function download(name, text) {
  const link = el("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Puts a table behind the summary of a figure; open ones stay open. */
function keepTable(figure, columns, rows) {
  const details = $("details", figure);
  const name = $("h2", figure).textContent;
  const scroll = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${name}, table` });
  scroll.append(table(columns, rows));
  const save = el("button", { type: "button", class: "csv" }, `Download CSV, ${noun(rows.length, "row")}`);
  save.addEventListener("click", () => download(`${figure.id}.csv`, csv(columns, rows)));
  details.replaceChildren($("summary", details), save, scroll);
}

/** A remedy; its command, if there is one, is set as code. */
function remedy(text) {
  const found = /^(.*?)(shoplake [a-z][^;]*)(.*)$/s.exec(text);
  return found ? [found[1], el("code", {}, found[2]), found[3]] : [text];
}

const pill = (verdict) => el("span", { class: `pill ${verdict}` }, verdict);
