// Streams one chat completion and says how it goes. No part of the page is touched here.

const COST = "x-penstock-cost-micros";

/** Yields {data, comment} for each block of a server-sent stream, whole, however the bytes were cut. */
export async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += value ?? "";
      // A lone CR at the end may be the first half of a CRLF that has not come whole yet.
      const blocks = (done ? rest : rest.replace(/\r$/, "")).replace(/\r\n?/g, "\n").split("\n\n");
      const held = !done && rest.endsWith("\r") ? "\r" : "";
      rest = done ? "" : blocks.pop() + held;
      for (const block of blocks) {
        const lines = block.split("\n");
        const after = (mark) => lines.filter((line) => line.startsWith(mark)).map((line) => line.slice(mark.length).replace(/^ /, "")).join("\n");
        yield { data: after("data:"), comment: after(":") };
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** What went wrong, in the words of the API's error body where there are any. */
async function refusal(response) {
  let words = "";
  try {
    const body = await response.json();
    words = body.error?.message ?? body.message ?? "";
  } catch {
    // Not JSON: a proxy in between answered. The status says what there is to say.
  }
  return new Error(words ? `${response.status}: ${words}` : `The server answered ${response.status}.`);
}

/**
 * Cost in micro-units, or null. A whole reply has it in a header. A stream's is only known at its end, where it comes as a comment,
 * `: x-penstock-cost-micros=123`, which every other client of the API passes over.
 */
function costOf(text) {
  return /^\d+$/.test(text ?? "") ? Number(text) : null;
}

/**
 * Runs one call. `on.text(words)` and `on.thinking(words)` get what comes; `on.figures({first, total, usage, cost})` gets what is known
 * so far, times in milliseconds. Resolves with how it ended, such as "stop" or "length"; rejects with an AbortError or what was wrong.
 */
export async function complete({ body, signal, on }) {
  const began = performance.now();
  const figures = { first: null, total: null, usage: null, cost: null };
  const response = await fetch("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream" },
    credentials: "same-origin",
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  if (!response.ok) throw await refusal(response);
  figures.cost = costOf(response.headers.get(COST));
  let ending = null;
  try {
    for await (const { data, comment } of events(response.body)) {
      if (comment.startsWith(`${COST}=`)) figures.cost = costOf(comment.slice(COST.length + 1));
      if (data === "" || data === "[DONE]") continue;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message ?? "The stream ended with an error.");
      if (chunk.usage) figures.usage = chunk.usage;
      const choice = chunk.choices?.[0];
      const words = choice?.delta?.content;
      const thinking = choice?.delta?.reasoning_content ?? choice?.delta?.reasoning;
      if ((words || thinking) && figures.first === null) {
        figures.first = performance.now() - began;
        on.figures(figures);
      }
      if (thinking) on.thinking(thinking);
      if (words) on.text(words);
      ending = choice?.finish_reason ?? ending;
    }
  } finally {
    figures.total = performance.now() - began;
    on.figures(figures);
  }
  return ending ?? "stop";
}
