// One stream for the whole tab, which tells what has changed; it is closed while nobody looks.

import { useEffect, useState } from "./vendor.js";
import { events } from "./api.js";

const listeners = new Set();
let latest = { state: "starting" };
let stop;

function tell(change) {
  if (latest.state === "away" && change.state === "live") change.returns = (latest.returns ?? 0) + 1;
  latest = { ...latest, ...change };
  listeners.forEach((told) => told(latest));
}

async function follow(signal) {
  for (let pause = 500; !signal.aborted; pause = Math.min(pause * 2, 8000)) {
    try {
      await events(
        "GET",
        "events",
        (event, data) => {
          pause = 500;
          if (event === "tick") tell({ state: "live", ...data });
        },
        { signal },
      );
    } catch (error) {
      if (signal.aborted) return;
      tell({ state: error.status === 401 ? "signed out" : "away" });
    }
    await new Promise((resume) => setTimeout(resume, pause * (0.5 + Math.random())));
  }
}

function look() {
  if (document.hidden) {
    stop?.abort();
    stop = undefined;
  } else if (!stop) {
    stop = new AbortController();
    follow(stop.signal);
  }
}

export function start() {
  document.addEventListener("visibilitychange", look);
  look();
}

/** What is known by now: `state`, and the figures of the last tick. */
export function useLive() {
  const [now, told] = useState(latest);
  useEffect(() => {
    listeners.add(told);
    return () => listeners.delete(told);
  }, []);
  return now;
}
