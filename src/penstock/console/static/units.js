// Numbers in words, as formats.py writes them on the server.
const SYMBOLS = { USD: "$", EUR: "€", GBP: "£", JPY: "¥" };

export function money(micros, currency = "USD") {
  const size = Math.abs(micros);
  let number;
  if (size === 0) number = "0";
  else if (size >= 1e6) number = (size / 1e6).toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  else {
    const decimals = Math.min(6, 9 - String(Math.round(size)).length);
    const [whole, fraction] = (size / 1e6).toFixed(decimals).split(".");
    number = `${whole}.${fraction.replace(/0+$/, "").padEnd(2, "0")}`;
  }
  const sign = micros < 0 ? "−" : "";
  return SYMBOLS[currency] ? `${sign}${SYMBOLS[currency]}${number}` : `${sign}${number} ${currency}`;
}

export function duration(ms) {
  if (ms < 0) return `−${duration(-ms)}`;
  if (ms < 0.0005) return "0 ms";
  if (ms < 9.995) return `${ms.toFixed(2)} ms`;
  if (ms < 99.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  const seconds = ms / 1000;
  if (seconds < 9.995) return `${seconds.toFixed(2)} s`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} m`;
}

export function compact(number) {
  const size = Math.abs(number);
  const sign = number < 0 ? "−" : "";
  if (size < 9999.5) return sign + (Number.isInteger(size) || size >= 100 ? Math.round(size).toLocaleString("en-US") : size.toFixed(1));
  const [divisor, letter] = size < 999_500 ? [1e3, "k"] : size < 999_500_000 ? [1e6, "M"] : [1e9, "B"];
  const scaled = size / divisor;
  return `${sign}${scaled.toFixed(scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0)}${letter}`;
}

/** `axis` asks for the short form that ticks want: `1.5 s` rather than `1.50 s`, `2k` rather than `2.00k`. */
export function asUnit(value, unit, currency = "USD", axis = false) {
  if (value === null || value === undefined) return "—";
  if (axis && value === 0) return "0";
  const words =
    unit === "ms" ? duration(value)
    : unit === "micros" ? money(value, currency)
    : unit === "fraction" ? `${(value * 100).toFixed(value !== 0 && Math.abs(value) < 0.001 ? 3 : 1)}%`
    : unit === "score" ? value.toFixed(2)
    : compact(value);
  return axis ? words.replace(/(\.\d*?)0+(?=\D*$)/, "$1").replace(/\.(?=\D*$)/, "") : words;
}
