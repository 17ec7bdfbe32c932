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
    if (!state.answers) {
      Object.assign(state, { since: "", until: "" }); // the address had invalid days
      await loadAnswers();
    }
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
  const query = last ? new URLSearchParams({ last }) : wanted();
  history.replaceState(null, "", `${location.pathname}${String(query) && `?${query}`}${location.hash}`);
  loadAnswers().catch(() => {}); // the next look tells what is wrong
}

function start() {
  addEventListener("hashchange", route);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw(true));
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
  const last = /^\d{1,4}$/.test(asked.get("last")) ? asked.get("last") : "";
  Object.assign(state, { last, since: asked.get("from") ?? "", until: asked.get("to") ?? "" });
  look();
}

start();
