"use strict";
// The health of the lake.

const fill = (id, ...children) => $(`#${id} > div`).replaceChildren(...children.flat(Infinity));

function showHealth() {
  const health = state.health;
  $("#verdict").replaceChildren(pill(health.verdict));
  showFreshness();
  showReconciliation(health);
  fill(
    "checks",
    el(
      "ul",
      { class: "checks" },
      health.checks.map((check) =>
        el(
          "li",
          {},
          el("span", {}, pill(check.verdict)),
          el("span", {}, check.sentence),
          check.remedy ? el("span", { class: "note" }, remedy(check.remedy)) : null,
        ),
      ),
    ),
  );
  showSlots(health);
  showQuarantine(health);
  showRuns(health.batches);
}

function showFreshness() {
  const { newest_arrival: arrival, newest_event: event, objective_minutes: objective, now } = state.health;
  if (!arrival)
    return fill(
      "freshness",
      el("p", { class: "big" }, state.health.ledger.files ? "Unknown: a clock is ahead" : "No files yet"),
      el("p", { class: "note" }, `Objective: ${objective} minutes.`),
    );
  const clock = exported ? Date.parse(now) : Date.now() + state.skew;
  const age = (clock - Date.parse(arrival)) / 1000;
  const fresh = age <= objective * 60 || state.health.demo;
  const bar = el(
    "div",
    { class: "bar", role: "img", "aria-label": `${percent(age / objective / 60)} of the objective` },
    el("i", { class: fresh ? "ok" : "failed" }),
  );
  bar.firstChild.style.width = `${Math.min(100, (age / objective / 60) * 100)}%`;
  return fill(
    "freshness",
    el("p", { class: "big" }, `${duration(age)} ago`),
    bar,
    el(
      "p",
      { class: "note" },
      `The newest file arrived ${minute(arrival)}; the objective is ${noun(objective, "minute")}. `,
      state.health.demo ? "The demo's data is old on purpose. " : "",
      event ? `Newest event: ${minute(event)}.` : "",
    ),
  );
}

function showReconciliation({ ledger, tables, checks }) {
  const parts = ["accepted", "duplicates", "quarantined", ...(ledger.erased ? ["erased"] : [])];
  const bar = el(
    "div",
    { class: "bar", "aria-hidden": "true" },
    parts.filter((name) => ledger[name]).map((name) => el("i", { class: name })),
  );
  for (const part of bar.children) part.style.flexGrow = ledger[part.className];
  const sum = parts.map((name) => exact.format(ledger[name])).join(" + ");
  const unreadable = ledger.unreadable ? ` (${exact.format(ledger.unreadable)} unreadable)` : "";
  fill(
    "reconciliation",
    el(
      "p",
      { class: "big" },
      noun(ledger.lines, "line"),
      " ",
      pill(checks.find((one) => one.check === "whole").verdict),
    ),
    bar,
    el(
      "ul",
      { class: "key" },
      parts.map((name) => el("li", {}, el("i", { class: name }), el("b", {}, exact.format(ledger[name])), ` ${name}`)),
    ),
    el(
      "p",
      { class: "note" },
      `${exact.format(ledger.lines)} lines = ${sum}, of ${noun(ledger.files, "file")}${unreadable};`,
      ` the table events has ${noun(tables.events.rows, "row")}.`,
    ),
  );
}

function showSlots({ slots, gaps, unreadable }) {
  const most = Math.max(1, ...slots.map((slot) => slot.events));
  const hours = [
    ...groupBy(
      slots.map((slot) => ({ ...slot, hour: slot.slot.slice(0, 13), at: slot.slot.slice(14, 16) })),
      "hour",
    ),
  ].reverse();
  const minutes = Array.from({ length: 12 }, (_, i) => String(5 * i).padStart(2, "0"));
  const cell = (slot) => {
    if (!slot) return el("td", { class: "outside" });
    if (!slot.files) return el("td", { class: "gap", title: `${minute(slot.slot)}: no file` }, "none");
    const bad = slot.unreadable ? `, ${slot.unreadable} unreadable` : "";
    const made = el(
      "td",
      {
        class: "files",
        title: `${minute(slot.slot)}: ${noun(slot.files, "file")}${bad}, ${noun(slot.events, "event")}`,
      },
      short(slot.events),
      bad ? " !" : "",
    );
    made.style.setProperty("--heat", 0.08 + (0.32 * slot.events) / most);
    return made;
  };
  const body = hours.map(([hour, found]) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, `${dayName(hour.slice(0, 10))}, ${hour.slice(11)} h`),
      minutes.map((at) => cell(found.find((slot) => slot.at === at))),
    ),
  );
  const head = el(
    "tr",
    {},
    el("td", { class: "outside" }),
    minutes.map((at) => el("th", { scope: "col" }, `:${at}`)),
  );
  const content = slots.length
    ? [
        el(
          "div",
          { class: "scroll heat", tabindex: "0", role: "region", "aria-label": "Slots" },
          el("table", {}, el("thead", {}, head), el("tbody", {}, body)),
        ),
      ]
    : [el("p", { class: "note" }, "No file's path names a time: year=/month=/day=/hour=/minute=/, or events-YYYYMMDD-HHMMSS.")];
  if (gaps.slots) {
    content.push(
      el(
        "details",
        {},
        el("summary", {}, `${noun(gaps.slots, "slot")} without a file`),
        table(["from", "to", "slots"], gaps.ranges.map((gap) => [gap.from, gap.to, gap.slots]).reverse()),
      ),
    );
  }
  if (unreadable.length) {
    content.push(
      el(
        "details",
        { open: "" },
        el("summary", {}, `${noun(unreadable.length, "file")} that could not be read`),
        table(
          ["file", "error"],
          unreadable.map((file) => [file.file, file.error]),
        ),
      ),
    );
  }
  fill("slots", content);
}

function showQuarantine({ reasons }) {
  if (!reasons.length) return fill("quarantine", el("p", { class: "note" }, "No lines break the contract."));
  const open = new Set([...document.querySelectorAll("#quarantine details[open]")].map((details) => details.id));
  const most = reasons[0].lines;
  const items = reasons.map((reason) => {
    const bar = el("span", { class: "share", "aria-hidden": "true" }, el("i"));
    bar.firstChild.style.width = `${(100 * reason.lines) / most}%`;
    const details = el(
      "details",
      { id: `reason-${reason.reason}` },
      el(
        "summary",
        {},
        el("b", {}, reason.reason),
        el("span", { class: "note" }, reason.meaning),
        bar,
        el("span", { class: "number" }, noun(reason.lines, "line")),
      ),
      reason.samples.map((sample) => [
        el(
          "span",
          { class: "note" },
          `${sample.file}, line ${exact.format(sample.line)}${sample.encoding === "utf-8" ? "" : `, ${sample.encoding}`}`,
        ),
        el("pre", {}, sample.raw + (sample.cut ? " …" : "")),
      ]),
    );
    details.open = open.has(details.id);
    return el("li", {}, details);
  });
  return fill("quarantine", el("ul", { class: "reasons" }, items));
}

function showRuns(batches) {
  const rows = [...batches].reverse();
  draw("runs", () => ({
    height: 200,
    label: `Seconds of the latest batches: ${rows.map((row) => row.seconds).join(", ")}`,
    grid: { left: 4, right: 14, top: 14, bottom: 4, outerBoundsMode: "same" },
    tooltip: tooltip(
      (i) => minute(rows[i].when),
      (i) => [
        ["Seconds", exact.format(rows[i].seconds)],
        ["Files", exact.format(rows[i].files)],
        ["Lines", exact.format(rows[i].lines)],
        ["Engine", rows[i].engine],
      ],
    ),
    xAxis: names(
      rows.map((row) => row.when),
      {
        axisLabel: {
          color: colour("quiet"),
          hideOverlap: true,
          formatter: (text) => `${dayName(text)} ${text.slice(11, 16)}`,
        },
      },
    ),
    yAxis: values(),
    series: [
      {
        name: "Seconds",
        type: "bar",
        barMaxWidth: 44,
        color: colour("step-1"),
        itemStyle: { borderRadius: [3, 3, 0, 0] },
        data: rows.map((row) => row.seconds),
      },
    ],
  }));
  const columns = ["when", "batch", "files", "lines", "quarantined", "engine", "seconds"];
  keepTable(
    $("#runs"),
    columns,
    batches.map((batch) => columns.map((column) => batch[column])),
  );
}
