"use strict";
// The five answers as charts, each with its table.

const NO_EVENTS = [["No events", ""]];
const SERIES = 7; // colours for categories; the smallest ones are combined
const DAY = 86400000; // milliseconds
const HOUR = DAY / 24;
const WEEK = 7 * DAY;

/** The start of the hour, the day or the week (a Monday, UTC) in which a moment lies. */
function startOf(at, step) {
  const from = step === WEEK ? 4 * DAY : 0; // 1970 began on a Thursday
  return Math.floor((at - from) / step) * step + from;
}

/** The rows of an answer as objects by column. */
function rowsOf(name) {
  const { columns, rows } = state.answers.answers.find((answer) => answer.name === name);
  return rows.map((row) => Object.fromEntries(row.map((value, i) => [columns[i], value])));
}

/** Keeps the rows of an answer, as they are, behind its chart. */
function behind(id, name) {
  const { columns, rows } = state.answers.answers.find((answer) => answer.name === name);
  keepTable($(`#${id}`), columns, rows);
}

const MOST_BARS = 20000; // more days or hours are not filled in: a single event of another century must not stop the page

/** Every day from the first to the last, those of which there is nothing included. */
function everyDay(days) {
  const [first, last] = [Date.parse(days[0]), Date.parse(days.at(-1))];
  if (!days.length || (last - first) / DAY > MOST_BARS) return days;
  return Array.from({ length: (last - first) / DAY + 1 }, (_, i) => new Date(first + i * DAY).toISOString().slice(0, 10));
}

const total = (rows, column) => rows.reduce((sum, row) => sum + Number(row[column]), 0);
const share = (part, whole) => (whole ? part / whole : null);

function groupBy(rows, column) {
  const groups = new Map();
  for (const row of rows) {
    if (!groups.has(row[column])) groups.set(row[column], []);
    groups.get(row[column]).push(row);
  }
  return groups;
}

/** The options of a select; what was chosen stays chosen as long as it is there. */
function choices(select, options) {
  const chosen = select.value;
  select.replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}

/** How a number changed since the period before, as text with its direction; nothing where that is not known. */
function change(now, then, points = false) {
  if (then === null || then === undefined || now === null || (!then && !points)) return ["", ""];
  const by = points ? (now - then) * 100 : (now - then) / then;
  const size = points ? `${Math.abs(by).toFixed(1)}\u00a0pp` : percent(Math.abs(by));
  const way = Math.abs(by) < (points ? 0.05 : 0.0005) ? "same" : by > 0 ? "up" : "down"; // as it is shown
  return [`${{ same: "\u00b1", up: "+", down: "\u2212" }[way]}${size}`, way];
}

const period = ({ since, until }) => (since === until ? since : `${since} to ${until}`);

/** Distinct users or sessions of the days shown: of one day from its row, of several as soon as they are counted. */
function distinctOf(name, column, of) {
  const days = rowsOf("user_activity");
  const { before } = state.answers;
  const all = state.answers.product || state.answers.category ? ", all products" : "";
  if (days.length < 2) {
    const value = days.length ? days[0][column] : 0;
    return [name, short(value), `${exact.format(value)}${all}`, change(value, before?.[of])];
  }
  const busiest = days.reduce((most, row) => (row[column] > most[column] ? row : most), days[0]);
  const more = `most in a day: ${short(busiest[column])} on ${dayName(busiest.event_date)}${all}`;
  if (!state.distinct && state.manyUnits) {
    return [name, el("button", { type: "button", class: "count", title: "Takes seconds to minutes" }, "Count"), more, ["", ""]];
  }
  if (!state.distinct) return [name, "…", more, ["", ""]];
  if (state.distinct[of] === null) return [name, "–", `rows are kept from ${state.distinct.kept_from} on`, ["", ""]];
  return [name, short(state.distinct[of]), more, change(state.distinct[of], state.earlier?.[of])];
}

function showFigures() {
  const funnel = rowsOf("conversion_funnel");
  const hours = rowsOf("hourly_revenue");
  const { before } = state.answers;
  const cents = (text) => BigInt(text.replace(".", "")); // exact
  const revenue = hours.reduce((sum, row) => sum + cents(row.revenue), 0n);
  const [views, bought, carts] = [total(funnel, "views"), total(funnel, "purchases"), total(funnel, "add_to_carts")];
  const events = total(rowsOf("category_performance"), "events");
  const value = share(Number(revenue) / 100, bought);
  const earlier = before && { ...before, revenue: Number(before.revenue) };
  const figures = [
    ["Revenue", short(Number(revenue) / 100), money.format(`${revenue}e-2`), change(Number(revenue) / 100, earlier?.revenue)],
    ["Purchases", short(bought), noun(total(hours, "units_sold"), "unit"), change(bought, earlier?.purchases)],
    [
      "Revenue per purchase",
      value === null ? "–" : money.format(value),
      "a purchase is one event",
      change(value, earlier && share(earlier.revenue, earlier.purchases)),
    ],
    ["Views to purchase", percent(share(bought, views)), `${percent(share(carts, views))} to cart`,
      change(share(bought, views), earlier && share(earlier.purchases, earlier.views), true)],
    ["Page views", short(views), exact.format(views), change(views, earlier?.views)],
    ["Events", short(events), exact.format(events), change(events, earlier?.events)],
    distinctOf("Users", "unique_users", "users"),
    distinctOf("Sessions", "unique_sessions", "sessions"),
  ];
  const against = before ? `against ${period(before)}` : "";
  $("#figures").replaceChildren(
    ...figures.map(([name, text, more, [by, way]]) =>
      el(
        "div",
        {},
        el("dt", {}, name),
        el("dd", {}, text, by ? el("span", { class: `change ${way}`, title: against }, by) : ""),
        el("dd", {}, more),
      ),
    ),
  );
}

function showFunnel() {
  const products = rowsOf("conversion_funnel");
  const groups = groupBy(
    rowsOf("category_performance").filter((row) => row.page_views + row.add_to_carts + row.purchases),
    "category",
  );
  const categories = [...groups]
    .map(([name, rows]) => ({
      name,
      views: total(rows, "page_views"),
      carts: total(rows, "add_to_carts"),
      bought: total(rows, "purchases"),
    }))
    .sort((a, b) => b.views - a.views);
  const select = $("#funnel select");
  choices(select, [
    ["", "all categories"],
    ["products", "all products"],
    ...categories.map(({ name }) => [`of ${name}`, `products of ${name}`]),
  ]);
  const wanted = products.filter((row) => select.value === "products" || `of ${row.category}` === select.value);
  const rows =
    select.value === ""
      ? categories
      : wanted.slice(0, 15).map((row) => ({
          name: row.product_id,
          views: row.views,
          carts: row.add_to_carts,
          bought: row.purchases,
          of: row.category,
        }));
  const more =
    select.value && wanted.length > rows.length ? `, the ${rows.length} most viewed of ${wanted.length}` : "";
  const steps = [
    ["To cart", "carts", "step-1"],
    ["To purchase", "bought", "step-2"],
  ];
  const rate = (row, key) => share(row[key], row.views);
  draw("funnel", (width) => {
    const narrow = width < 560;
    return {
      height: 46 * rows.length + 44,
      label: `Funnel${more}: ${rows
        .slice(0, 6)
        .map(
          (row) =>
            `${row.name}, ${exact.format(row.views)} views, ${percent(rate(row, "carts"))} to cart, ${percent(rate(row, "bought"))} bought`,
        )
        .join("; ")}`,
      grid: { left: 4, right: narrow ? 96 : 150, top: 34, bottom: 4, outerBoundsMode: "same" },
      legend: legend(),
      tooltip: tooltip(
        (i) => rows[i].name,
        (i) => [
          ...(rows[i].of ? [["Category", rows[i].of]] : []),
          ["Page views", exact.format(rows[i].views)],
          ["Carts", exact.format(rows[i].carts)],
          ["Purchases", exact.format(rows[i].bought)],
          ["Views to cart", percent(rate(rows[i], "carts"))],
          ["Carts to purchase", percent(share(rows[i].bought, rows[i].carts))],
          ["Views to purchase", percent(rate(rows[i], "bought"))],
        ],
      ),
      xAxis: values({ show: false }),
      yAxis: names(
        rows.map((row) => row.name),
        {
          inverse: true,
          axisLine: { show: false },
          axisLabel: { color: colour("ink"), fontSize: 13, width: Math.min(190, width * 0.28), overflow: "truncate" },
        },
      ),
      series: steps.map(([name, key, fill], i) => ({
        name,
        type: "bar",
        barWidth: 12,
        barGap: "25%",
        data: rows.map((row) => rate(row, key)),
        itemStyle: { color: colour(fill), borderRadius: 3 },
        label: {
          show: true,
          position: "right",
          color: colour("ink"),
          fontSize: 13,
          formatter: ({ value, dataIndex }) =>
            i === 0 ? `${percent(value)} of ${short(rows[dataIndex].views)}` : percent(value),
        },
      })),
    };
  });
  behind("funnel", "conversion_funnel");
}

function showRevenue() {
  const by = $("#revenue select").value;
  const step = by === "hour" ? HOUR : by === "day" ? DAY : WEEK;
  const sold = new Map();
  for (const row of rowsOf("hourly_revenue")) {
    const at = startOf(Date.parse(row.event_hour), step);
    const sum = sold.get(at) ?? { cents: 0n, purchases: 0, units_sold: 0 };
    sum.cents += BigInt(row.revenue.replace(".", ""));
    sum.purchases += row.purchases;
    sum.units_sold += row.units_sold;
    sold.set(at, sum);
  }
  for (const sum of sold.values()) sum.revenue = `${sum.cents}e-2`;
  const [first, last] = [Math.min(...sold.keys()), Math.max(...sold.keys())];
  const every = sold.size && (last - first) / step < MOST_BARS;
  const hours = every
    ? Array.from({ length: (last - first) / step + 1 }, (_, i) => first + i * step)
    : [...sold.keys()];
  const texts = hours.map((at) => new Date(at).toISOString());
  const known = new Set(rowsOf("user_activity").map((row) => startOf(Date.parse(row.event_date), Math.max(step, DAY))));
  const nothing = { revenue: "0.00", purchases: 0, units_sold: 0 }; // was sold; of a day without events nothing is known
  const rows = hours.map((at) => sold.get(at) ?? (known.has(startOf(at, Math.max(step, DAY))) ? nothing : null));
  const title = (i) => (step === HOUR ? minute(texts[i]) : `${step === WEEK ? "Week of " : ""}${dayName(texts[i])}`);
  const bars = hours.length <= (step === HOUR ? 48 : 62);
  const best = rows.reduce((top, row, i) => (Number(row?.revenue) > Number(rows[top].revenue) ? i : top), 0);
  draw("revenue", (width) => {
    const room = Math.ceil((hours.length * step) / DAY / (width / 70)); // days from one label to the next
    const midnights = (i) => hours[i] % DAY === 0 && (hours[i] / DAY) % room === 0;
    const few = Math.ceil(hours.length / (width / (step === HOUR ? 52 : 92)));
    return {
      height: 260,
      label: hours.length
        ? `Revenue of ${noun(sold.size, by)} with a sale; most, ${money.format(rows[best].revenue)}, at ${title(best)}`
        : "No sale",
      grid: { left: 4, right: 14, top: 14, bottom: 4, outerBoundsMode: "same" },
      tooltip: tooltip(
        title,
        (i) =>
          rows[i]
            ? [
                ["Revenue", money.format(rows[i].revenue)],
                ["Purchases", exact.format(rows[i].purchases)],
                ["Units", exact.format(rows[i].units_sold)],
              ]
            : NO_EVENTS,
      ),
      xAxis: names(texts, {
        boundaryGap: bars,
        axisLabel: {
          color: colour("quiet"),
          hideOverlap: true,
          lineHeight: 16,
          interval: (i) => (bars ? i % few === 0 : midnights(i)),
          formatter: (text, i) => {
            if (!bars || step !== HOUR) return dayName(text);
            if (i && hours[i] % DAY) return text.slice(11, 16);
            return `${text.slice(11, 16)}\n${dayName(text)}`;
          },
        },
      }),
      yAxis: values(),
      series: [
        {
          name: "Revenue",
          type: bars ? "bar" : "line",
          data: rows.map((row) => row && Number(row.revenue)),
          symbol: "none",
          barMaxWidth: 44,
          color: colour("step-1"),
          ...(bars
            ? { itemStyle: { borderRadius: [3, 3, 0, 0] } }
            : { lineStyle: { width: 1.6 }, areaStyle: { opacity: 0.16 } }),
        },
      ],
    };
  });
  behind("revenue", "hourly_revenue");
}

function showTop() {
  const rows = rowsOf("top_products").map((row) => ({
    name: row.product_id,
    value: row.views,
    more: [["Category", row.category]],
  }));
  draw("top", (width) => ({
    ...ranking(rows, width, "Page views", () => colour("step-1")),
    label: `Most viewed: ${rows.map((row) => `${row.name} ${exact.format(row.value)}`).join(", ")}`,
  }));
  behind("top", "top_products");
}

const MEASURES = ["events", "page_views", "add_to_carts", "removes_from_cart", "purchases", "searches"];

function showCategories() {
  const weekly = $("#categories select[name=step]").value === "week";
  const monday = (day) => new Date(startOf(Date.parse(day), WEEK)).toISOString().slice(0, 10);
  const rows = rowsOf("category_performance").map((row) => (weekly ? { ...row, event_date: monday(row.event_date) } : row));
  const select = $("#categories select[name=measure]");
  choices(
    select,
    MEASURES.map((name) => [name, name.replaceAll("_", " ")]),
  );
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
  const known = new Set(rows.map((row) => row.event_date));
  const days = everyDay([...known].sort()).filter((day) => !weekly || monday(day) === day);
  const sums = new Map(shown.map((name) => [name, days.map((day) => (known.has(day) ? 0 : null))]));
  const place = new Map(days.map((name, i) => [name, i]));
  for (const row of rows) {
    const line = sums.get(label(row.category));
    if (line) line[place.get(row.event_date)] += row[measure];
  }
  const whole = (name) => sums.get(name).reduce((sum, value) => sum + value, 0);
  const ranked = shown.map((name) => ({ name, value: whole(name) })).sort((a, b) => b.value - a.value);
  const text = `${select.selectedOptions[0].text} by category: ${ranked.map((row) => `${row.name} ${exact.format(row.value)}`).join(", ")}`;
  draw("categories", (width) =>
    days.length === 1
      ? { ...ranking(ranked, width, select.selectedOptions[0].text, (row) => fill(row.name)), label: text }
      : {
          height: 308,
          label: `Over ${noun(known.size, weekly ? "week" : "day")}: ${text}`,
          tooltip: tooltip(
            (i) => `${weekly ? "Week of " : ""}${days[i]}`,
            (i) => (known.has(days[i]) ? shown.map((name) => [name, exact.format(sums.get(name)[i])]) : NO_EVENTS),
          ),
          xAxis: names(days, { axisLabel: { color: colour("quiet"), hideOverlap: true, formatter: dayName } }),
          yAxis: values(),
          ...named(
            shown.map((name) => ({
              text: name,
              type: "bar",
              stack: "all",
              barMaxWidth: 44,
              color: fill(name),
              data: sums.get(name),
            })),
          ),
        },
  );
  behind("categories", "category_performance");
}

/** Whether a day has events and its neighbours have none: a line alone would not show it. */
const alone = (days, byDay, i) => byDay.has(days[i]) && !byDay.has(days[i - 1]) && !byDay.has(days[i + 1]);

function showActivity() {
  const rows = rowsOf("user_activity");
  const series = [
    ["Users", "unique_users", "series-1"],
    ["Sessions", "unique_sessions", "series-2"],
  ];
  const newest = rows.at(-1);
  const byDay = new Map(rows.map((row) => [row.event_date, row]));
  const days = everyDay(rows.map((row) => row.event_date));
  draw("activity", () => ({
    height: 250,
    legend: legend(),
    label: newest
      ? `Over ${noun(rows.length, "day")}; on ${newest.event_date} ${noun(newest.unique_users, "user")} and ${noun(newest.unique_sessions, "session")}`
      : "No day",
    tooltip: tooltip(
      (i) => days[i],
      (i) =>
        byDay.has(days[i])
          ? [...series, ["Events", "events"]].map(([name, column]) => [name, exact.format(byDay.get(days[i])[column])])
          : NO_EVENTS,
    ),
    xAxis: names(days, { axisLabel: { color: colour("quiet"), hideOverlap: true, formatter: dayName } }),
    yAxis: values(),
    series: series.map(([name, column, fill]) => ({
      name,
      type: days.length <= 14 ? "bar" : "line",
      color: colour(fill),
      symbol: "none",
      showAllSymbol: true, // or else only days whose label is shown get theirs
      barMaxWidth: 44,
      itemStyle: { borderRadius: [3, 3, 0, 0] },
      data: days.map((day, i) => {
        const value = byDay.get(day)?.[column] ?? null;
        return alone(days, byDay, i) ? { value, symbol: "circle", symbolSize: 6 } : value;
      }),
    })),
  }));
  behind("activity", "user_activity");
}

function showSearches() {
  const figure = $("#searches");
  const { searches } = state;
  const none = !searches?.rows.length;
  figure.hidden = Boolean(exported) && !searches;
  const button = $(".count", figure);
  $(".chart", figure).hidden = $("details", figure).hidden = none;
  button.hidden = Boolean(searches) || !state.waits;
  $(".note", figure).hidden = !none;
  $(".note", figure).textContent = searches
    ? "No searches on these days."
    : state.waits
      ? `They are counted from ${noun(state.answers.events, "event")}, which takes a while.`
      : "Counting …";
  if (none) return;
  const rows = searches.rows.slice(0, 12).map(([name, value, users]) => ({
    name,
    value,
    more: [["Users", exact.format(users)]],
  }));
  draw("searches", (width) => ({
    ...ranking(rows, width, "Searches", () => colour("step-1")),
    label: `Top searches: ${rows.map((row) => `${row.name} ${exact.format(row.value)}`).join(", ")}`,
  }));
  keepTable(figure, searches.columns, searches.rows);
}

/** The products and categories to choose from, and what is chosen. */
function showChoices() {
  const form = $("#days");
  const { choices: offered, product, category } = state.answers;
  const categories = [...new Set([...offered.categories, ...(category ? [category] : [])])];
  form.category.replaceChildren(
    el("option", { value: "" }, "all"),
    ...categories.map((name) => el("option", { value: `of ${name}` }, name)),
  );
  form.category.value = category ? `of ${category}` : "";
  $("#products").replaceChildren(...offered.products.map((value) => el("option", { value })));
  if (document.activeElement !== form.product) form.product.value = product;
}

function showAnswers() {
  const { days, answers } = state.answers;
  const ofProducts = answers.filter((answer) => answer.name !== "user_activity"); // which knows no products
  const nothing = ofProducts.every((answer) => !answer.rows.length);
  $("#figures").hidden = $("#answers .grid").hidden = nothing;
  if (!days) {
    const command = `shoplake ingest --source DIR --lake ${state.answers.lake}`;
    trouble("This lake is empty", `Nothing has been ingested yet. Ingest the source: ${command}`);
    return;
  }
  const form = $("#days");
  [form.from.min, form.to.min] = [days[0], days[0]];
  [form.from.max, form.to.max] = [days[1], days[1]];
  if (!form.contains(document.activeElement) || document.activeElement.type !== "date") {
    form.from.value = state.since || days[0];
    form.to.value = state.until || days[1];
  }
  form.hidden = Boolean(exported);
  for (const button of form.querySelectorAll("button")) {
    button.setAttribute(
      "aria-pressed",
      String(!(state.last === "" && (state.since || state.until)) && button.dataset.last === state.last),
    );
  }
  showChoices();
  const part = state.answers.product || state.answers.category;
  const { before } = state.answers;
  const against = before ? `Changes are against ${period(before)}.` : "";
  $("#range").textContent = nothing ? `No events ${part ? "of this choice " : ""}on these days.` : exported ? "" : against;
  if (nothing) return;
  showFigures();
  showFunnel();
  showRevenue();
  showTop();
  showCategories();
  showActivity();
  showSearches();
}
