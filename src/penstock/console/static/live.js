// Live pages. Pages write htmx's own attributes (sse-connect, sse-swap); this gives htmx an event source that lets go of its
// connection while nobody looks, comes back by itself, and says in the top bar how it stands.

const RETRY_FIRST_MS = 500;
const RETRY_MOST_MS = 15_000;
const sources = new Set();

/** An EventSource that pauses while the tab is hidden: a browser has six connections to a host over HTTP/1.1, for all tabs together. */
export class LiveSource extends EventTarget {
  #url;
  #inner = null;
  #names = new Set();
  #retry = RETRY_FIRST_MS;
  #timer = 0;
  onopen = null;
  onerror = null;
  onmessage = null;
  /** Never CLOSED before close(): htmx would otherwise start a second way of reconnecting beside this one. */
  readyState = EventSource.CONNECTING;
  /** "connecting", "on", "paused", "retrying" or "off". */
  state = "connecting";

  constructor(url) {
    super();
    this.#url = url;
    sources.add(this);
    if (document.hidden || held) this.#become("paused");
    else this.#connect();
  }

  addEventListener(name, listener, options) {
    super.addEventListener(name, listener, options);
    if (!this.#names.has(name)) {
      this.#names.add(name);
      this.#inner?.addEventListener(name, this.#forward);
    }
  }

  close() {
    this.#drop();
    this.readyState = EventSource.CLOSED;
    sources.delete(this);
    this.#become("off");
  }

  pause() {
    if (this.readyState === EventSource.CLOSED) return;
    this.#drop();
    this.#become("paused");
  }

  resume() {
    if (this.state === "paused") this.#connect();
  }

  #forward = (event) => {
    this.dispatchEvent(new MessageEvent(event.type, { data: event.data, lastEventId: event.lastEventId, origin: event.origin }));
  };

  #connect() {
    this.#become("connecting");
    const inner = new EventSource(this.#url);
    this.#inner = inner;
    for (const name of this.#names) inner.addEventListener(name, this.#forward);
    inner.onmessage = (event) => this.onmessage?.(event);
    inner.onopen = (event) => {
      this.#retry = RETRY_FIRST_MS;
      this.readyState = EventSource.OPEN;
      this.#become("on");
      this.onopen?.(event);
    };
    inner.onerror = (event) => {
      this.#drop();
      this.#become("retrying");
      // A little chance, so that a restarted server does not meet everybody at once.
      this.#timer = setTimeout(() => this.#connect(), this.#retry * (0.75 + Math.random() / 2));
      this.#retry = Math.min(this.#retry * 2, RETRY_MOST_MS);
      this.onerror?.(event);
    };
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#inner?.close();
    this.#inner = null;
  }

  #become(state) {
    this.state = state;
    show();
  }
}

const WORDS = { on: "Live", connecting: "Connecting", paused: "Paused", retrying: "Reconnecting" };
const WORST_FIRST = ["retrying", "connecting", "paused", "on"];
let held = false;

function show() {
  const states = new Set([...sources].map((source) => source.state));
  const state = WORST_FIRST.find((word) => states.has(word)) ?? "off";
  for (const element of document.querySelectorAll("[data-live-state]")) {
    element.dataset.liveState = state;
    element.hidden = state === "off";
    const words = element.querySelector(".live-text");
    if (words && words.textContent !== WORDS[state]) words.textContent = WORDS[state] ?? "";
  }
}

/** Hold every stream still, as a reader who studies a moving list wants, until called with false. */
export function hold(still) {
  held = still;
  for (const source of sources) still ? source.pause() : source.resume();
}

document.addEventListener("visibilitychange", () => {
  for (const source of sources) document.hidden ? source.pause() : held || source.resume();
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-live-hold]");
  if (!button) return;
  const still = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(still));
  hold(still);
});

// The extension has put its own maker there when it was loaded; modules run later, and htmx looks at the page later still.
if (globalThis.htmx) htmx.createEventSource = (url) => new LiveSource(url);
