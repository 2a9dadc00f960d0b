// What charts are drawn with: colours as the canvas wants them, steps and words of the axes.
/** A colour token as the canvas wants it: `light-dark()` is only resolved on an element. */
export function colour(token) {
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  probe.style.color = `var(${token})`;
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

export function faded(rgb, alpha) {
  return rgb.replace(/^rgba?\(([^,)]+),([^,)]+),([^,)]+).*\)$/, `rgba($1,$2,$3,${alpha})`);
}

/** Round steps for the axis; whole ones for what is counted. */
export function steps(unit) {
  const whole = unit === "count" || unit === "tokens" || unit === "micros";
  return Array.from({ length: 20 }, (_, at) => at - (whole ? 0 : 6)).flatMap((power) => [1, 2, 5].map((step) => step * 10 ** power));
}

const HOUR = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const SECOND = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DATE = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

/** Words for the marks of a time axis: the date at midnight and for whole days, else the time of day. */
export function moments(splits) {
  const step = splits.length > 1 ? splits[1] - splits[0] : 3600;
  return splits.map((seconds) => {
    const moment = new Date(seconds * 1000);
    const midnight = moment.getHours() === 0 && moment.getMinutes() === 0 && moment.getSeconds() === 0;
    if (step >= 86_400 || midnight) return DATE.format(moment);
    return (step < 60 ? SECOND : HOUR).format(moment);
  });
}

/** Where a value stands between two gaps. */
export function lonely(values) {
  return Array.from(values.keys()).filter((at) => values[at] != null && values[at - 1] == null && values[at + 1] == null);
}
