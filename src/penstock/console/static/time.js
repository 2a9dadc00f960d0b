// <time datetime="..." data-time="full|clock|day|ago"> in the reader's own zone. The exact moment is in the title. A clock says the day too
// when that is not today.
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DATED = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

/** How long ago, in the words that the server uses. `seconds` is positive for the past. */
export function ago(seconds) {
  const size = Math.abs(seconds);
  if (size < 2) return "just now";
  const [divisor, unit] = size < 60 ? [1, "s"] : size < 3600 ? [60, "min"] : size < 172800 ? [3600, "h"] : [86400, "d"];
  const amount = `${Math.floor(size / divisor)} ${unit}`;
  return seconds > 0 ? `${amount} ago` : `in ${amount}`;
}

function write(element) {
  const moment = new Date(element.dateTime);
  if (Number.isNaN(moment.getTime())) return;
  const how = element.dataset.time;
  element.title = `${FULL.format(moment)} · ${element.dateTime}`;
  const words =
    how === "ago" ? ago((Date.now() - moment.getTime()) / 1000)
    : how === "clock" ? (moment.toDateString() === new Date().toDateString() ? CLOCK : DATED).format(moment)
    : how === "day" ? DAY.format(moment)
    : FULL.format(moment);
  // Writing the same text again would throw away a selection for nothing.
  if (element.textContent !== words) element.textContent = words;
}

export function localise(root) {
  if (root.matches?.("time[data-time]")) write(root);
  for (const element of root.querySelectorAll("time[data-time]")) write(element);
}

setInterval(() => {
  if (document.hidden) return;
  for (const element of document.querySelectorAll("time[data-time=ago]")) write(element);
}, 10_000);
