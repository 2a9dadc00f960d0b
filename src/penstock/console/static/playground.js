// The playground: one composer, two conversations. The address keeps which models they are with.
import { complete } from "./chat.js";
import { compact, duration, money } from "./units.js";

const address = new URL(location.href);

class Column {
  constructor(root) {
    this.root = root;
    this.side = root.dataset.side;
    this.select = root.querySelector("[data-model]");
    this.thread = root.querySelector("[data-thread]");
    this.stopButton = root.querySelector("[data-stop]");
    this.messages = [];
    this.figures = null;
    this.abort = null;
    this.stopButton.addEventListener("click", () => this.stop());
    this.select.addEventListener("change", () => remember());
  }

  get running() {
    return this.abort !== null;
  }

  offer(models, fallback) {
    const wanted = address.searchParams.get(this.side);
    this.select.replaceChildren(...models.map((id) => new Option(id, id)));
    this.select.disabled = models.length === 0;
    if (models.length === 0) this.select.append(new Option("No models", ""));
    else this.select.value = models.includes(wanted) ? wanted : fallback;
  }

  clear() {
    this.stop();
    this.messages = [];
    this.figures = null;
    this.thread.replaceChildren();
    this.show({ first: null, total: null, usage: null, cost: null });
  }

  stop() {
    this.abort?.abort();
  }

  say(kind, text) {
    const item = document.createElement("li");
    item.className = `pg-said pg-${kind}`;
    const words = document.createElement("p");
    words.textContent = text;
    item.append(words);
    this.thread.append(item);
    this.thread.scrollTop = this.thread.scrollHeight;
    return { item, words };
  }

  /** Follows the text down unless the reader has scrolled up to read. */
  follow(change) {
    const { thread } = this;
    const atEnd = thread.scrollHeight - thread.scrollTop - thread.clientHeight < 40;
    change();
    if (atEnd) thread.scrollTop = thread.scrollHeight;
  }

  async ask(prompt, settings) {
    const model = this.select.value;
    this.say("user", prompt);
    const { item, words } = this.say("reply", "");
    const system = settings.system ? [{ role: "system", content: settings.system }] : [];
    const asked = [...this.messages, { role: "user", content: prompt }];
    this.abort = new AbortController();
    this.figures = null;
    this.show({ first: null, total: null, usage: null, cost: null });
    item.classList.add("is-running");
    this.stopButton.hidden = false;
    let text = "";
    try {
      const ending = await complete({
        body: { model, messages: [...system, ...asked], ...settings.options },
        signal: this.abort.signal,
        on: {
          text: (more) => this.follow(() => (words.textContent = text += more)),
          thinking: (more) => this.follow(() => (this.thinking(item, words).textContent += more)),
          figures: (figures) => this.show(figures),
        },
      });
      if (ending === "length") this.end(item, "Cut off: the reply reached its limit of tokens.");
      else if (ending === "content_filter") this.end(item, "Cut off by the provider's content filter.");
    } catch (error) {
      if (error.name === "AbortError") this.end(item, "Stopped.");
      else this.end(item, error instanceof TypeError ? "The server could not be reached." : error.message, "bad");
    } finally {
      item.classList.remove("is-running");
      this.stopButton.hidden = true;
      this.abort = null;
    }
    // What never got an answer is not part of the conversation: the next question would follow a question.
    if (text) this.messages = [...asked, { role: "assistant", content: text }];
  }

  thinking(item, words) {
    let box = item.querySelector(".pg-thinking");
    if (!box) {
      box = document.createElement("details");
      box.className = "pg-thinking";
      const summary = document.createElement("summary");
      summary.textContent = "Reasoning";
      box.append(summary, document.createElement("p"));
      words.before(box);
    }
    return box.lastElementChild;
  }

  end(item, text, tone = "neutral") {
    const note = document.createElement("p");
    note.className = `pg-ended tone-${tone}`;
    if (tone === "bad") note.setAttribute("role", "alert");
    note.textContent = text;
    this.follow(() => item.append(note));
  }

  show(figures) {
    this.figures = figures;
    const { first, total, usage, cost } = figures;
    const out = usage?.completion_tokens ?? null;
    const streamed = first !== null && total !== null ? total - first : null;
    const words = {
      first: first === null ? "—" : duration(first),
      total: total === null ? "—" : duration(total),
      tokens: usage ? `${compact(usage.prompt_tokens ?? 0)} → ${compact(out ?? 0)}` : "—",
      speed: out && streamed > 1 ? `${compact(Math.round((out / streamed) * 1000))}/s` : "—",
      cost: cost === null ? "—" : money(cost),
    };
    for (const [name, text] of Object.entries(words)) this.root.querySelector(`[data-figure=${name}]`).textContent = text;
  }
}

const columns = [...document.querySelectorAll(".pg-column")].map((root) => new Column(root));
const composer = document.querySelector("[data-composer]");
const prompt = composer.elements.prompt;
const send = composer.querySelector("[type=submit]");
const stopAll = composer.querySelector("[data-stop-all]");

function remember() {
  for (const { side, select } of columns) address.searchParams.set(side, select.value);
  history.replaceState(null, "", address);
}

/** Says which of two finished replies was the quicker and the cheaper; says nothing when they are alike. */
function compare() {
  for (const name of ["first", "total", "cost"]) {
    const values = columns.map(({ figures }) => figures?.[name] ?? null);
    for (const [at, { root }] of columns.entries()) {
      const better = values.every((value) => value !== null) && values[at] < values[1 - at];
      root.querySelector(`[data-figure=${name}]`).classList.toggle("is-better", better);
    }
  }
}

function number(name) {
  const { value } = composer.elements[name];
  return value === "" ? undefined : Number(value);
}

async function ask() {
  await ready; // who is quicker than the list of models is not left without a word
  const text = prompt.value.trim();
  if (!text || columns.some(({ running }) => running) || columns.some(({ select }) => !select.value)) return;
  const settings = {
    system: composer.elements.system.value.trim(),
    options: { temperature: number("temperature"), max_tokens: number("max_tokens") },
  };
  prompt.value = "";
  send.disabled = true;
  stopAll.hidden = false;
  await Promise.all(columns.map((column) => column.ask(text, settings)));
  send.disabled = false;
  stopAll.hidden = true;
  compare();
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
composer.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    composer.requestSubmit();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") for (const column of columns) column.stop();
});
stopAll.addEventListener("click", () => columns.forEach((column) => column.stop()));
document.querySelector("[data-clear]").addEventListener("click", () => {
  columns.forEach((column) => column.clear());
  compare();
  prompt.focus();
});

/** Takes over a call of the record, which `?from=` names: only our own API is asked. Says what of it could not be taken along. */
async function take(from, models) {
  const url = new URL(from, location.origin);
  if (url.origin !== location.origin || !url.pathname.startsWith("/v1/")) return;
  const response = await fetch(url, { credentials: "same-origin" });
  if (!response.ok) throw new Error(`The server answered ${response.status} when asked for the call.`);
  const { model, messages, left_out: lost = [], ...options } = await response.json();
  const text = (keep) => messages.filter(keep).map(({ content }) => content);
  composer.elements.system.value = text(({ role }) => role === "system").join("\n\n");
  const said = messages.filter(({ role }) => role !== "system");
  if (said.at(-1)?.role === "user") prompt.value = said.pop().content;
  for (const name of ["temperature", "max_tokens"]) composer.elements[name].value = options[name] ?? "";
  for (const column of columns) {
    column.messages = said;
    for (const { role, content } of said) column.say(role === "user" ? "user" : "reply", content);
  }
  const known = models.find((id) => id === model) ?? models.find((id) => id.endsWith(`/${model}`));
  if (known) columns[0].select.value = known;
  else if (model) lost.push(`the model ${model}, which is not offered here`);
  if (lost.length) (await import("./shell.js")).toast(`Not taken along: ${lost.join(", ")}.`, "warn");
}

async function start() {
  try {
    const response = await fetch("/v1/models", { credentials: "same-origin" });
    if (!response.ok) throw new Error(`The server answered ${response.status} when asked for its models.`);
    const models = (await response.json()).data.map(({ id }) => id);
    columns.forEach((column, at) => column.offer(models, models[Math.min(at, models.length - 1)]));
    send.disabled = models.length === 0;
    const from = address.searchParams.get("from");
    if (from) await take(from, models);
  } catch (error) {
    const { toast } = await import("./shell.js");
    if (columns[0].select.disabled) columns.forEach((column) => column.offer([], ""));
    send.disabled = columns[0].select.disabled;
    toast(error instanceof TypeError ? "The server could not be reached." : error.message, "bad");
  }
}

const ready = start();
