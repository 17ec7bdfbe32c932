// The dashboard: asks the server (or the data inside an exported page), draws charts, keeps a table beside each.
// Values of events reach the page as text nodes or as text on a canvas, never as HTML.
/* global echarts */

const POLL = 3000; // milliseconds between looks at the state of the lake
const HEALTH_AGE = 60000; // after this long the health is asked for again, though nothing changed
const TABLE_ROWS = 1000;
const SERIES = 7; // colours for categories; the smallest others are shown as one
const DAY = 86400000;
const HOUR = DAY / 24;

const $ = (selector, within = document) => within.querySelector(selector);
const exported = $("#data") && JSON.parse($("#data").textContent);
const state = { answers: null, health: null, healthAt: 0, last: "", since: "", until: "", asked: 0 };

// ---------------------------------------------------------------------------------------------------------- words

const exact = new Intl.NumberFormat("en", { maximumFractionDigits: 20 });
const money = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const percents = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const dates = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", timeZone: "UTC" });

const short = (value) => compact.format(value).replace(/([KMBT])$/, "\u00a0$1");
const percent = (value) => (value === null ? "–" : percents.format(value));
const dayName = (text) => dates.format(new Date(text));
const minute = (text) => text.slice(0, 16).replace("T", " ");
const noun = (number, one) => `${exact.format(number)} ${one}${number === 1 ? "" : "s"}`;

function duration(seconds) {
  for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (seconds >= length) return noun(Math.floor(seconds / length), unit);
  }
  return noun(Math.max(0, Math.floor(seconds)), "second");
}

/** A cell of a table: what the column means decides how its value is written. */
function written(column, value) {
  if (value === null) return "–";
  if (column.endsWith("_rate")) return percent(value);
  if (column === "revenue") return money.format(value);
  if (typeof value === "number") return exact.format(value);
  return /^\d{4}-\d\d-\d\dT/.test(value) ? minute(value) : value;
}

// ------------------------------------------------------------------------------------------------------- elements

/** An element with attributes and children; a child that is no element becomes text. */
function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.flat().filter((child) => child !== null && child !== ""));
  return made;
}

function table(columns, rows, caption = "") {
  const numeric = columns.map((_, i) => rows.some((row) => typeof row[i] === "number") || columns[i] === "revenue");
  const cell = (kind, i, text, extra = {}) => el(kind, { class: numeric[i] ? "number" : "text", ...extra }, text);
  const head = columns.map((column, i) => cell("th", i, column.replaceAll("_", " "), { scope: "col" }));
  const shown = rows.slice(0, TABLE_ROWS);
  const cells = (row) =>
    row.map((value, i) => cell(i ? "td" : "th", i, written(columns[i], value), i ? {} : { scope: "row" }));
  const rest = rows.length > shown.length ? `The first ${exact.format(TABLE_ROWS)} of ${exact.format(rows.length)}. ` : "";
  const note = rest + caption;
  const whole = el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, shown.map((row) => el("tr", {}, cells(row)))));
  if (note) whole.prepend(el("caption", {}, note));
  return whole;
}

/** Puts a table behind the summary of a figure; open ones stay open. */
function keepTable(figure, columns, rows, caption) {
  const details = $("details", figure);
  const name = $("h2", figure).textContent;
  const scroll = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${name}, table` });
  scroll.append(table(columns, rows, caption));
  details.replaceChildren($("summary", details), scroll);
}

/** A remedy whose command, if it ends with one, is set as code. */
function remedy(text) {
  const found = /^(.*?)(shoplake [a-z][^;]*)(.*)$/s.exec(text);
  return found ? [found[1], el("code", {}, found[2]), found[3]] : [text];
}

const pill = (verdict) => el("span", { class: `pill ${verdict}` }, verdict);

// --------------------------------------------------------------------------------------------------------- charts

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const drawings = new Map(); // id of a figure -> what draws it again, in other colours or another width
const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) drawings.get(target.parentElement.id)?.();
});

/** Draws a chart now and whenever its width or the colours change. */
function draw(id, describe) {
  const place = $(`#${id} .chart`);
  place.setAttribute("role", "img");
  drawings.set(id, () => {
    if (!place.clientWidth) return; // drawn once it is shown
    const { height, label, ...option } = describe(place.clientWidth);
    place.style.height = `${height ?? 300}px`;
    place.setAttribute("aria-label", label);
    const chart = echarts.getInstanceByDom(place) ?? echarts.init(place);
    chart.resize();
    chart.setOption({ ...common(), ...option }, { notMerge: true });
  });
  drawings.get(id)();
  resized.observe(place);
}

function common() {
  return {
    animation: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    animationDuration: 300,
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: colour("quiet") },
    grid: { left: 4, right: 14, top: 34, bottom: 4, outerBoundsMode: "same" },
  };
}

const legend = () => ({ top: 0, left: 0, itemWidth: 11, itemHeight: 11, icon: "roundRect", type: "scroll",
  textStyle: { color: colour("quiet"), fontSize: 13 }, pageTextStyle: { color: colour("quiet") } });

const values = (extra = {}) => ({ type: "value", splitNumber: 4, axisLabel: { color: colour("quiet"), formatter: short },
  splitLine: { lineStyle: { color: colour("line") } }, ...extra });

const names = (data, extra = {}) => ({ type: "category", data, axisTick: { show: false },
  axisLine: { lineStyle: { color: colour("control") } }, axisLabel: { color: colour("quiet") }, ...extra });

/** A tooltip for everything at one place of the axis: elements, so that nothing is read as HTML. */
function tooltip(title, lines) {
  return {
    trigger: "axis", confine: true, className: "tip", backgroundColor: colour("card"), borderColor: colour("control"),
    padding: [8, 12], textStyle: { color: colour("ink"), fontSize: 13 },
    axisPointer: { type: "shadow", shadowStyle: { color: colour("quiet"), opacity: 0.08 } },
    formatter: ([{ dataIndex }]) =>
      el("div", {}, el("strong", {}, title(dataIndex)),
        lines(dataIndex).map(([name, value]) => el("div", {}, el("span", {}, name), value))),
  };
}

/** Bars to the right, the first on top: one series. */
function ranking(rows, width, name, fill) {
  return {
    height: Math.max(120, 28 * rows.length + 20),
    grid: { left: 4, right: 58, top: 4, bottom: 4, outerBoundsMode: "same" },
    tooltip: tooltip((i) => rows[i].name, (i) => [[name, exact.format(rows[i].value)], ...(rows[i].more ?? [])]),
    xAxis: values({ show: false }),
    yAxis: names(rows.map((row) => row.name), { inverse: true, axisLine: { show: false }, axisLabel:
      { color: colour("ink"), fontSize: 13, width: Math.min(170, width * 0.34), overflow: "truncate" } }),
    series: [{ name, type: "bar", barMaxWidth: 18, itemStyle: { borderRadius: 3 },
      data: rows.map((row, i) => ({ value: row.value, itemStyle: { color: fill(row, i) } })),
      label: { show: true, position: "right", color: colour("ink"), fontSize: 13, formatter: ({ value }) => short(value) } }],
  };
}

// -------------------------------------------------------------------------------------------------------- answers

/** The rows of an answer as objects by column. */
function rowsOf(name) {
  const { columns, rows } = state.answers.answers.find((answer) => answer.name === name);
  return rows.map((row) => Object.fromEntries(row.map((value, i) => [columns[i], value])));
}

function behind(id, name, caption) {
  const { columns, rows } = state.answers.answers.find((answer) => answer.name === name);
  keepTable($(`#${id}`), columns, rows, caption);
}

const total = (rows, column) => rows.reduce((sum, row) => sum + Number(row[column]), 0);
const share = (part, whole) => (whole ? part / whole : null);

function groupBy(rows, column) {
  const groups = new Map();
  for (const row of rows) groups.set(row[column], [...(groups.get(row[column]) ?? []), row]);
  return groups;
}

/** The options of a select; what was chosen stays chosen as long as it is there. */
function choices(select, options) {
  const chosen = select.value;
  select.replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}

function showFigures() {
  const funnel = rowsOf("conversion_funnel");
  const hours = rowsOf("hourly_revenue");
  const days = rowsOf("user_activity");
  const revenue = hours.reduce((sum, row) => sum + BigInt(row.revenue.replace(".", "")), 0n); // hundredths, exact
  const [views, bought] = [total(funnel, "views"), total(funnel, "purchases")];
  const each = days.length > 1 ? " a day" : "";
  const mean = (column) => total(days, column) / (days.length || 1);
  const figures = [
    ["Revenue", short(Number(revenue) / 100), money.format(`${revenue}e-2`)],
    ["Purchases", short(bought), noun(total(hours, "units_sold"), "unit")],
    ["Page views", short(views), `${noun(total(days, "events"), "event")} in all`],
    ["Views that end in a purchase", percent(share(bought, views)), `${percent(share(total(funnel, "add_to_carts"), views))} become a cart`],
    [`Users${each}`, short(mean("unique_users")), days.length > 1 ? `mean of ${days.length} days` : exact.format(mean("unique_users"))],
    [`Sessions${each}`, short(mean("unique_sessions")), days.length > 1 ? `mean of ${days.length} days` : exact.format(mean("unique_sessions"))],
  ];
  $("#figures").replaceChildren(
    ...figures.map(([name, value, more]) => el("div", {}, el("dt", {}, name), el("dd", {}, value), el("dd", {}, more))));
}

function showFunnel() {
  const products = rowsOf("conversion_funnel");
  const groups = groupBy(rowsOf("category_performance").filter((row) => row.page_views + row.add_to_carts + row.purchases), "category");
  const categories = [...groups].map(([name, rows]) => ({ name, views: total(rows, "page_views"),
    carts: total(rows, "add_to_carts"), bought: total(rows, "purchases") })).sort((a, b) => b.views - a.views);
  const select = $("#funnel select");
  choices(select, [["", "all categories"], ["products", "all products"],
    ...categories.map(({ name }) => [`of ${name}`, `products of ${name}`])]);
  const wanted = products.filter((row) => select.value === "products" || `of ${row.category}` === select.value);
  const rows = select.value === "" ? categories : wanted.slice(0, 15).map((row) => (
    { name: row.product_id, views: row.views, carts: row.add_to_carts, bought: row.purchases, of: row.category }));
  const more = select.value && wanted.length > rows.length ? `, the ${rows.length} most viewed of ${wanted.length}` : "";
  const steps = [["Page views", "views", "step-1", 20], ["Carts", "carts", "step-2", 13], ["Purchases", "bought", "step-3", 6]];
  const rates = (row) => [percent(share(row.carts, row.views)), percent(share(row.bought, row.views))];
  draw("funnel", (width) => {
    const narrow = width < 560;
    const axis = names(rows.map((row) => row.name), { inverse: true, axisLine: { show: false }, axisLabel:
      { color: colour("ink"), fontSize: 13, width: Math.min(190, width * 0.28), overflow: "truncate" } });
    return {
      height: 34 * rows.length + 50,
      label: `Funnel${more}: ${rows.slice(0, 6).map((row) => `${row.name}, ${exact.format(row.views)} views, ${rates(row)[0]} to cart, ${rates(row)[1]} bought`).join("; ")}`,
      grid: { left: 4, right: narrow ? 96 : 190, top: 34, bottom: 4, outerBoundsMode: "same" },
      legend: legend(),
      tooltip: tooltip((i) => rows[i].name, (i) => [
        ...(rows[i].of ? [["Category", rows[i].of]] : []),
        ...steps.map(([name, key]) => [name, exact.format(rows[i][key])]),
        ["Views to cart", rates(rows[i])[0]], ["Carts to purchase", percent(share(rows[i].bought, rows[i].carts))],
        ["Views to purchase", rates(rows[i])[1]]]),
      xAxis: values({ show: false }),
      yAxis: steps.map((_, i) => ({ ...axis, show: i === 0 })), // an axis each: bars of one row lie on each other
      series: steps.map(([name, key, fill, barWidth], i) => ({
        name, type: "bar", yAxisIndex: i, barWidth, data: rows.map((row) => row[key]),
        itemStyle: { color: colour(fill), borderRadius: 3 },
        label: { show: i === 0, position: "right", distance: 10, color: colour("ink"), fontSize: 13, formatter: ({ dataIndex }) => {
          const [cart, bought] = rates(rows[dataIndex]);
          return narrow ? `${cart} · ${bought}` : `${cart} to cart · ${bought} bought`;
        } } })),
    };
  });
  behind("funnel", "conversion_funnel");
}

function showRevenue() {
  const sold = new Map(rowsOf("hourly_revenue").map((row) => [Date.parse(row.event_hour), row]));
  const [first, last] = [Math.min(...sold.keys()), Math.max(...sold.keys())];
  const every = sold.size && (last - first) / HOUR < 20000; // in an hour without a row nothing was sold
  const hours = every ? Array.from({ length: (last - first) / HOUR + 1 }, (_, i) => first + i * HOUR) : [...sold.keys()];
  const rows = hours.map((at) => sold.get(at) ?? { revenue: "0.00", purchases: 0, units_sold: 0 });
  const texts = hours.map((at) => new Date(at).toISOString());
  const bars = hours.length <= 48;
  const best = rows.reduce((top, row, i) => (Number(row.revenue) > Number(rows[top].revenue) ? i : top), 0);
  draw("revenue", (width) => {
    const room = Math.ceil(hours.length / 24 / (width / 70)); // days from one label to the next
    const midnights = (i) => hours[i] % DAY === 0 && (hours[i] / DAY) % room === 0;
    const few = Math.ceil(hours.length / (width / 52));
    return {
      height: 260,
      label: hours.length ? `Revenue of ${noun(sold.size, "hour")} with a sale; most, ${money.format(rows[best].revenue)}, at ${minute(texts[best])}` : "No sale",
      grid: { left: 4, right: 14, top: 14, bottom: 4, outerBoundsMode: "same" },
      tooltip: { ...tooltip((i) => minute(texts[i]), (i) => [["Revenue", money.format(rows[i].revenue)],
        ["Purchases", exact.format(rows[i].purchases)], ["Units", exact.format(rows[i].units_sold)]]) },
      xAxis: names(texts, { boundaryGap: bars, axisLabel: { color: colour("quiet"), hideOverlap: true,
        interval: (i) => (bars ? i % few === 0 : midnights(i)),
        formatter: (text, i) => (bars && (i ? text.slice(11, 13) !== "00" : true) ? text.slice(11, 16) : dayName(text)) } }),
      yAxis: values(),
      series: [{ name: "Revenue", type: bars ? "bar" : "line", data: rows.map((row) => Number(row.revenue)), symbol: "none",
        barMaxWidth: 44, color: colour("step-2"), itemStyle: { borderRadius: [3, 3, 0, 0] }, lineStyle: { width: 1.6 },
        ...(bars ? {} : { areaStyle: { opacity: 0.16 }, itemStyle: {} }) }],
    };
  });
  behind("revenue", "hourly_revenue");
}

function showTop() {
  const rows = rowsOf("top_products").map((row) => (
    { name: row.product_id, value: row.views, more: [["Category", row.category]] }));
  draw("top", (width) => ({
    ...ranking(rows, width, "Page views", () => colour("step-2")),
    label: `Most viewed: ${rows.map((row) => `${row.name} ${exact.format(row.value)}`).join(", ")}`,
  }));
  behind("top", "top_products");
}

const MEASURES = ["events", "page_views", "add_to_carts", "removes_from_cart", "purchases", "searches"];

function showCategories() {
  const rows = rowsOf("category_performance");
  const select = $("#categories select");
  choices(select, MEASURES.map((name) => [name, name.replaceAll("_", " ")]));
  const measure = select.value;
  const groups = [...groupBy(rows, "category")];
  const size = new Map(groups.map(([name, group]) => [name, total(group, measure)]));
  const largest = [...size.keys()].filter((name) => name !== "(none)").sort((a, b) => size.get(b) - size.get(a));
  const own = new Set(largest.slice(0, largest.length > SERIES ? SERIES - 1 : SERIES));
  const fills = new Map([...own].sort().map((name, i) => [name, `series-${i + 1}`]));
  const label = (name) => (own.has(name) || name === "(none)" ? name : "all others");
  const fill = (name) => colour(fills.get(name) ?? (name === "(none)" ? "series-none" : `series-${SERIES}`));
  const shown = [...new Set([...[...own].sort(), ...size.keys()].map(label))].filter((name) => name !== "(none)");
  if (size.get("(none)")) shown.push("(none)");
  const days = [...groupBy(rows, "event_date").keys()];
  const sums = new Map(shown.map((name) => [name, days.map(() => 0)]));
  const place = new Map(days.map((name, i) => [name, i]));
  for (const row of rows) {
    const line = sums.get(label(row.category));
    if (line) line[place.get(row.event_date)] += row[measure];
  }
  const whole = (name) => sums.get(name).reduce((sum, value) => sum + value, 0);
  const ranked = shown.map((name) => ({ name, value: whole(name) })).sort((a, b) => b.value - a.value);
  const text = `${select.selectedOptions[0].text} by category: ${ranked.map((row) => `${row.name} ${exact.format(row.value)}`).join(", ")}`;
  draw("categories", (width) => (days.length === 1
    ? { ...ranking(ranked, width, select.selectedOptions[0].text, (row) => fill(row.name)), label: text }
    : {
      height: 308, label: `Over ${days.length} days: ${text}`, legend: legend(),
      tooltip: tooltip((i) => days[i], (i) => shown.map((name) => [name, exact.format(sums.get(name)[i])])),
      xAxis: names(days, { axisLabel: { color: colour("quiet"), hideOverlap: true, formatter: dayName } }),
      yAxis: values(),
      series: shown.map((name) => ({ name, type: "bar", stack: "all", barMaxWidth: 44, color: fill(name), data: sums.get(name) })),
    }));
  behind("categories", "category_performance");
}

function showActivity() {
  const rows = rowsOf("user_activity");
  const series = [["Users", "unique_users", "series-1"], ["Sessions", "unique_sessions", "series-2"]];
  const newest = rows.at(-1);
  draw("activity", () => ({
    height: 250, legend: legend(),
    label: newest ? `Over ${noun(rows.length, "day")}; on ${newest.event_date} ${noun(newest.unique_users, "user")} and ${noun(newest.unique_sessions, "session")}` : "No day",
    tooltip: tooltip((i) => rows[i].event_date, (i) => [...series, ["Events", "events"]].map(([name, column]) => [name, exact.format(rows[i][column])])),
    xAxis: names(rows.map((row) => row.event_date), { axisLabel: { color: colour("quiet"), hideOverlap: true, formatter: dayName } }),
    yAxis: values(),
    series: series.map(([name, column, fill]) => ({ name, type: rows.length <= 14 ? "bar" : "line", color: colour(fill), symbol: "none",
      barMaxWidth: 44, itemStyle: { borderRadius: [3, 3, 0, 0] }, data: rows.map((row) => row[column]) })),
  }));
  behind("activity", "user_activity");
}

function showAnswers() {
  const { days, answers } = state.answers;
  const nothing = answers.every((answer) => !answer.rows.length);
  $("#figures").hidden = $("#answers .grid").hidden = nothing;
  if (!days) return trouble("This lake is empty", `Nothing was ingested yet. Take in what is there: shoplake ingest --source DIR --lake ${state.answers.lake}`);
  const form = $("#days");
  [form.from.min, form.to.min] = [days[0], days[0]];
  [form.from.max, form.to.max] = [days[1], days[1]];
  if (!form.contains(document.activeElement) || document.activeElement.type !== "date") {
    form.from.value = state.since || days[0];
    form.to.value = state.until || days[1];
  }
  form.hidden = Boolean(exported);
  for (const button of form.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(!(state.last === "" && (state.since || state.until)) && button.dataset.last === state.last));
  }
  $("#range").textContent = nothing ? "No events on these days." : "";
  if (nothing) return undefined;
  showFigures();
  showFunnel();
  showRevenue();
  showTop();
  showCategories();
  return showActivity();
}

// --------------------------------------------------------------------------------------------------------- health

const fill = (id, ...children) => $(`#${id} > div`).replaceChildren(...children.flat());

function showHealth() {
  const health = state.health;
  $("#verdict").replaceChildren(pill(health.verdict));
  showFreshness();
  showReconciliation(health.ledger, health.tables);
  fill("checks", el("ul", { class: "checks" }, health.checks.map((check) => el("li", {},
    el("span", {}, pill(check.verdict)), el("span", {}, check.sentence),
    check.remedy ? el("span", { class: "note" }, remedy(check.remedy)) : null))));
  showSlots(health);
  showQuarantine(health);
  showRuns(health.batches);
}

function showFreshness() {
  const { newest_arrival: arrival, newest_event: event, objective_minutes: objective, now } = state.health;
  if (!arrival) return fill("freshness", el("p", { class: "big" }, "Nothing yet"), el("p", { class: "note" }, `Objective: ${objective} minutes.`));
  const clock = exported ? Date.parse(now) : Date.now() + state.skew;
  const age = (clock - Date.parse(arrival)) / 1000;
  const fresh = age <= objective * 60;
  const bar = el("div", { class: "bar", role: "img", "aria-label": `${percent(age / objective / 60)} of the objective` }, el("i", { class: fresh ? "ok" : "failed" }));
  bar.firstChild.style.width = `${Math.min(100, (age / objective / 60) * 100)}%`;
  return fill("freshness", el("p", { class: "big" }, `${duration(age)} ago`), bar, el("p", { class: "note" },
    `The newest file arrived ${minute(arrival)}; the objective is ${noun(objective, "minute")}. `, event ? `Newest event: ${minute(event)}.` : ""));
}

function showReconciliation(ledger, tables) {
  const parts = ["accepted", "duplicates", "quarantined"];
  const sum = parts.reduce((all, name) => all + ledger[name], 0);
  const agrees = sum === ledger.lines && tables.events.rows === ledger.accepted && tables.quarantine.rows === ledger.quarantined;
  const bar = el("div", { class: "bar", "aria-hidden": "true" }, parts.filter((name) => ledger[name]).map((name) => el("i", { class: name })));
  for (const part of bar.children) part.style.flexGrow = ledger[part.className];
  fill("reconciliation", el("p", { class: "big" }, noun(ledger.lines, "line"), " ", pill(agrees ? "ok" : "failed")), bar,
    el("ul", { class: "key" }, parts.map((name) => el("li", {}, el("i", { class: name }), el("b", {}, exact.format(ledger[name])), ` ${name}`))),
    el("p", { class: "note" }, `${exact.format(ledger.lines)} lines ${sum === ledger.lines ? "=" : "≠"} ${parts.map((name) => exact.format(ledger[name])).join(" + ")}, of ${noun(ledger.files, "file")}`
      + `${ledger.unreadable ? `, ${exact.format(ledger.unreadable)} unreadable` : ""}; the table events has ${noun(tables.events.rows, "row")}.`));
}

function showSlots({ slots, gaps, unreadable }) {
  const most = Math.max(1, ...slots.map((slot) => slot.events));
  const hours = [...groupBy(slots.map((slot) => ({ ...slot, hour: slot.slot.slice(0, 13), at: slot.slot.slice(14, 16) })), "hour")].reverse();
  const minutes = Array.from({ length: 12 }, (_, i) => String(5 * i).padStart(2, "0"));
  const cell = (slot) => {
    if (!slot) return el("td", { class: "outside" });
    if (!slot.files) return el("td", { class: "gap", title: `${minute(slot.slot)}: no file` }, "none");
    const bad = slot.unreadable ? `, ${slot.unreadable} unreadable` : "";
    const made = el("td", { class: "files", title: `${minute(slot.slot)}: ${noun(slot.files, "file")}${bad}, ${noun(slot.events, "event")}` }, short(slot.events), bad ? " !" : "");
    made.style.setProperty("--heat", 0.08 + (0.32 * slot.events) / most);
    return made;
  };
  const body = hours.map(([hour, found]) => el("tr", {}, el("th", { scope: "row" }, `${dayName(hour.slice(0, 10))}, ${hour.slice(11)} h`),
    minutes.map((at) => cell(found.find((slot) => slot.at === at)))));
  const head = el("tr", {}, el("td", { class: "outside" }), minutes.map((at) => el("th", { scope: "col" }, `:${at}`)));
  const content = slots.length ? [el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Slots" }, el("table", {}, el("thead", {}, head), el("tbody", {}, body)))]
    : [el("p", { class: "note" }, "No file lies in the layout year=/month=/day=/hour=/minute=.")];
  if (gaps.slots) {
    content.push(el("details", {}, el("summary", {}, `${noun(gaps.slots, "slot")} without a file`),
      table(["from", "to", "slots"], gaps.ranges.map((gap) => [gap.from, gap.to, gap.slots]).reverse())));
  }
  if (unreadable.length) {
    content.push(el("details", { open: "" }, el("summary", {}, `${noun(unreadable.length, "file")} that could not be read`),
      table(["file", "error"], unreadable.map((file) => [file.file, file.error]))));
  }
  fill("slots", content);
}

function showQuarantine({ reasons }) {
  if (!reasons.length) return fill("quarantine", el("p", { class: "note" }, "No line breaks the contract."));
  const open = new Set([...document.querySelectorAll("#quarantine details[open]")].map((details) => details.id));
  const rows = reasons.map((reason) => {
    const details = el("details", { id: `reason-${reason.reason}` }, el("summary", {}, reason.reason),
      reason.samples.map((sample) => [
        el("span", { class: "note" }, `${sample.file}, line ${exact.format(sample.line)}${sample.encoding === "utf-8" ? "" : `, ${sample.encoding}`}`),
        el("pre", {}, sample.raw + (sample.cut ? " …" : ""))]));
    details.open = open.has(details.id);
    return el("tr", {}, el("td", {}, details, el("span", { class: "note" }, reason.meaning)), el("td", { class: "number" }, exact.format(reason.lines)));
  });
  const head = el("tr", {}, el("th", { scope: "col" }, "Reason, with its newest lines"), el("th", { scope: "col", class: "number" }, "lines"));
  return fill("quarantine", el("table", {}, el("thead", {}, head), el("tbody", {}, rows)),
    el("p", { class: "note" }, "A line that breaks several rules counts under each."));
}

function showRuns(batches) {
  const rows = [...batches].reverse();
  draw("runs", () => ({
    height: 200, label: `Seconds of work of the last batches: ${rows.map((row) => row.seconds).join(", ")}`,
    grid: { left: 4, right: 14, top: 14, bottom: 4, outerBoundsMode: "same" },
    tooltip: tooltip((i) => minute(rows[i].when), (i) => [["Seconds of work", exact.format(rows[i].seconds)], ["Files", exact.format(rows[i].files)],
      ["Lines", exact.format(rows[i].lines)], ["Engine", rows[i].engine]]),
    xAxis: names(rows.map((row) => row.when), { axisLabel: { color: colour("quiet"), hideOverlap: true, formatter: (text) => `${dayName(text)} ${text.slice(11, 16)}` } }),
    yAxis: values(),
    series: [{ name: "Seconds of work", type: "bar", barMaxWidth: 44, color: colour("step-2"), itemStyle: { borderRadius: [3, 3, 0, 0] }, data: rows.map((row) => row.seconds) }],
  }));
  const columns = ["when", "batch", "files", "lines", "quarantined", "engine", "seconds"];
  keepTable($("#runs"), columns, batches.map((batch) => columns.map((column) => batch[column])));
}

// ----------------------------------------------------------------------------------------------- asking and following

class Refusal extends Error {}

async function ask(path) {
  const response = await fetch(path);
  const content = await response.json();
  if (content.error) throw Object.assign(new Refusal(content.error.message), content.error, { days: response.status === 400 });
  return content;
}

/** Says instead of the answers why there are none; without a title all is well. */
function trouble(title, text = "") {
  state.trouble = Boolean(title);
  $("#trouble h2").textContent = title;
  $("#trouble p").replaceChildren(...remedy(text));
  route();
}

const live = (text, lost = false) => {
  const place = $("#live");
  if (place.textContent !== text) place.textContent = text;
  place.classList.toggle("lost", lost);
};

/** Which days are wanted, as the server takes them. */
function wanted() {
  const days = state.answers?.days;
  if (state.last && days) {
    const first = new Date(Date.parse(days[1]) - (Number(state.last) - 1) * DAY).toISOString().slice(0, 10);
    [state.since, state.until] = [first < days[0] ? days[0] : first, days[1]];
  }
  return new URLSearchParams(Object.entries({ from: state.since, to: state.until }).filter(([, value]) => value));
}

async function loadAnswers() {
  const number = ++state.asked;
  $("#answers").classList.add("waiting");
  try {
    const before = wanted();
    let answers = await ask(`api/answers?${before}`);
    if (number !== state.asked) return;
    state.answers = answers;
    const after = wanted(); // the last day of the lake, which "last" counts from, may be another now
    if (String(after) !== String(before)) {
      answers = await ask(`api/answers?${after}`);
      if (number !== state.asked) return;
      state.answers = answers;
    }
    trouble("");
    showLake();
    showAnswers();
  } catch (error) {
    if (!(error instanceof Refusal) || !error.days) throw error;
    $("#range").textContent = `${error.message}. ${error.remedy}`;
  } finally {
    $("#answers").classList.remove("waiting");
  }
}

async function loadHealth() {
  state.health = await ask("api/health");
  state.healthAt = Date.now();
  state.skew = Date.parse(state.health.now) - Date.now();
  showHealth();
  route();
}

function showLake() {
  const { lake, shoplake, days } = state.answers;
  $("#lake").textContent = lake.split("/").filter(Boolean).at(-1) ?? lake;
  $("#lake").title = lake;
  document.title = `${$("#lake").textContent} · shoplake`;
  $("#about").textContent = `shoplake ${shoplake}${days ? `; the lake holds ${days[0]} to ${days[1]}` : ""}.`;
}

async function look() {
  try {
    const { catalog } = await ask("api/version");
    const changed = catalog !== state.answers?.catalog;
    if (changed) await loadAnswers();
    if (changed || Date.now() - state.healthAt > HEALTH_AGE) await loadHealth();
    else showFreshness();
    live(`Live · ${new Date().toISOString().slice(11, 19)}`);
  } catch (error) {
    if (error instanceof Refusal) {
      live("Waiting for the lake");
      state.answers = state.health = null;
      trouble(`${error.message[0].toUpperCase()}${error.message.slice(1)}`, error.remedy);
    } else {
      live("No answer from the server; trying again", true);
      console.info(error);
    }
  }
  setTimeout(look, document.hidden ? 5 * POLL : POLL);
}

// ------------------------------------------------------------------------------------------------------------ the page

function route() {
  const view = location.hash === "#health" ? "health" : "answers";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  $("#health").hidden = view !== "health" || !state.health;
  $("#answers").hidden = view !== "answers" || state.trouble || !state.answers;
  $("#trouble").hidden = !state.trouble || !$("#health").hidden;
  for (const again of drawings.values()) again();
}

function choose(last, since = "", until = "") {
  Object.assign(state, { last, since, until });
  const query = last ? new URLSearchParams({ last }) : wanted();
  history.replaceState(null, "", `${location.pathname}${String(query) && `?${query}`}${location.hash}`);
  loadAnswers().catch(() => {}); // the next look tells what is wrong
}

function start() {
  addEventListener("hashchange", route);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawings.forEach((again) => again()));
  $("#funnel select").addEventListener("change", showFunnel);
  $("#categories select").addEventListener("change", showCategories);
  if (exported) {
    Object.assign(state, exported);
    live(`As of ${minute(state.health.now)}`);
    showLake();
    showHealth();
    showAnswers();
    route();
    return;
  }
  const form = $("#days");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", () => form.reportValidity() && choose("", form.from.value, form.to.value));
  form.addEventListener("click", ({ target }) => target.dataset.last !== undefined && choose(target.dataset.last));
  const asked = new URLSearchParams(location.search);
  Object.assign(state, { last: asked.get("last") ?? "", since: asked.get("from") ?? "", until: asked.get("to") ?? "" });
  look();
}

start();
