"use strict";
// Asks the server, or the data inside an exported page, and follows the lake as it grows.

const POLL = 2000; // milliseconds between looks at the state of the lake
const HEALTH_AGE = 60000; // after this long the health is asked for again, though nothing changed

class Refusal extends Error {}

async function ask(path) {
  const response = await fetch(path);
  if (response.status === 500) throw new Error("The server failed; see its terminal");
  const content = await response.json();
  if (content.error)
    throw Object.assign(new Refusal(content.error.message), content.error, { days: response.status === 400 });
  return content;
}

/** Shows what is wrong in place of the answers; an empty title means that all is well. */
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
  const { since: from, until: to, product, category } = state;
  return new URLSearchParams(Object.entries({ from, to, product, category }).filter(([, value]) => value));
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
    keepCounts();
    showAnswers();
    loadCounts(number).catch(() => {}); // the next look tells what is wrong
  } catch (error) {
    if (!(error instanceof Refusal) || !error.days) throw error;
    if (!state.answers) {
      Object.assign(state, { since: "", until: "" }); // the address had invalid days
      await loadAnswers();
    }
    $("#range").textContent = `${error.message}. ${error.remedy}`;
  } finally {
    $("#answers").classList.remove("waiting");
  }
}

// Of the days shown, up to which searches, and users and sessions, are counted without being asked for.
const MOST_EVENTS = 50e6;
const MOST_UNITS = { folder: 40e6, s3: 10e6 }; // rows, of each of which 16 bytes are read

/** The days shown, as the server takes them. */
function shownDays() {
  const { days } = state.answers;
  return { from: state.since || days?.[0] || "", to: state.until || days?.[1] || "" };
}

/** Counts of other days go; those of the same days stay until new ones are there. */
function keepCounts() {
  const shown = String(new URLSearchParams(shownDays()));
  if (shown !== state.counted) Object.assign(state, { counted: shown, distinct: null, earlier: null, searches: null });
  state.waits = state.answers.events > MOST_EVENTS;
  const place = state.answers.lake.startsWith("s3://") ? "s3" : "folder";
  state.manyUnits = state.answers.units > MOST_UNITS[place];
}

/** What takes longer than the first view may: searches, distinct users and sessions of several days and of those before. */
async function loadCounts(number) {
  if (!state.answers.days) return;
  const count = async (what, range) => {
    const found = await ask(`api/${what}?${new URLSearchParams(range)}`);
    return number === state.asked ? found : null;
  };
  const range = shownDays();
  if (!state.waits) {
    state.searches = (await count("searches", range)) ?? state.searches;
    showSearches();
  }
  if (range.from === range.to || state.manyUnits) return;
  state.distinct = (await count("distinct", range)) ?? state.distinct;
  showFigures();
  const { before } = state.answers;
  if (!before || number !== state.asked) return;
  state.earlier = (await count("distinct", { from: before.since, to: before.until })) ?? state.earlier;
  showFigures();
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
  const chosen = new URLSearchParams(Object.entries({ from: state.since, to: state.until }).filter(([, day]) => day));
  $("#experiments").href = `experiment${String(chosen) && `?${chosen}`}`;
  $("#experiments").hidden = Boolean(exported) || !days;
  $("#about").textContent = `shoplake ${shoplake}${days ? `; the lake holds ${days[0]} to ${days[1]}` : ""}.`;
}

async function look() {
  try {
    const changed = !state.answers || (await ask("api/version")).catalog !== state.answers.catalog;
    if (changed) await loadAnswers();
    if (changed || Date.now() - state.healthAt > HEALTH_AGE) await loadHealth();
    else showFreshness();
    live("Live");
    $("#clock").textContent = new Date().toISOString().slice(11, 19);
  } catch (error) {
    if (error instanceof Refusal) {
      live("Waiting for the lake");
      state.answers = state.health = null;
      trouble(`${error.message[0].toUpperCase()}${error.message.slice(1)}`, error.remedy);
    } else {
      live(error instanceof TypeError ? "The server is not responding; retrying" : error.message, true);
    }
  }
  setTimeout(look, document.hidden ? 5 * POLL : POLL);
}

function route() {
  const view = location.hash === "#health" ? "health" : "answers";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  $("#health").hidden = view !== "health" || !state.health;
  $("#answers").hidden = view !== "answers" || state.trouble || !state.answers;
  $("#trouble").hidden = !state.trouble || !$("#health").hidden;
  redraw();
}

function choose(last, since = "", until = "") {
  Object.assign(state, { last, since, until });
  show();
}

/** Shows what is chosen, and keeps it in the address. */
function show() {
  const query = wanted();
  if (state.last) {
    query.delete("from");
    query.delete("to");
    query.set("last", state.last);
  }
  history.replaceState(null, "", `${location.pathname}${String(query) && `?${query}`}${location.hash}`);
  loadAnswers().catch(() => {}); // the next look tells what is wrong
}

function start() {
  addEventListener("hashchange", route);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw(true));
  $("#funnel select").addEventListener("change", showFunnel);
  $("#revenue select").addEventListener("change", showRevenue);
  for (const select of document.querySelectorAll("#categories select")) select.addEventListener("change", showCategories);
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
  form.addEventListener("change", ({ target }) => {
    if (target.type === "date") {
      if (form.reportValidity()) choose("", form.from.value, form.to.value);
      return;
    }
    Object.assign(state, { product: form.product.value, category: form.category.value.replace("of ", "") });
    show();
  });
  $("#figures").addEventListener("click", async ({ target }) => {
    if (!target.classList.contains("count")) return;
    state.manyUnits = false;
    showFigures();
    state.distinct = await ask(`api/distinct?${new URLSearchParams(shownDays())}`).catch(() => null);
    state.manyUnits = !state.distinct;
    showFigures();
  });
  $("#searches .count").addEventListener("click", async () => {
    state.waits = false;
    showSearches();
    state.searches = await ask(`api/searches?${new URLSearchParams(shownDays())}`).catch(() => null);
    state.waits = !state.searches;
    showSearches();
  });
  form.addEventListener("click", ({ target }) => target.dataset.last !== undefined && choose(target.dataset.last));
  const asked = new URLSearchParams(location.search);
  const last = /^\d{1,4}$/.test(asked.get("last")) ? asked.get("last") : "";
  Object.assign(state, { last, since: asked.get("from") ?? "", until: asked.get("to") ?? "" });
  Object.assign(state, { product: asked.get("product") ?? "", category: asked.get("category") ?? "" });
  look();
}

start();
