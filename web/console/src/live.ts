// What changes while one looks: answers that are asked for again and again, and the events of a run.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { CallError, get, shapeRun, shapeStep } from "./api";
import type { Run, SeriesAnswer, SeriesLine, Step } from "./api";

export interface Polled<T> {
  value: T | null;
  error: CallError | null;
  /** Asks at once. */
  refresh: () => void;
}

/**
 * Asks for `path` every `everyMs`, and keeps the last answer where one fails. null: asks for nothing. `shape` fills in
 * what an older node leaves out; always the same function.
 */
export function usePolled<T>(path: string | null, everyMs: number, shape: (raw: T) => T = (raw) => raw): Polled<T> {
  const [value, setValue] = useState<T | null>(null);
  const [error, setError] = useState<CallError | null>(null);
  const [turn, setTurn] = useState(0);
  const refresh = useCallback(() => setTurn((n) => n + 1), []);
  useEffect(() => setValue(null), [path]);
  useEffect(() => {
    if (path === null) return;
    let gone = false;
    let timer = 0;
    const ask = async () => {
      try {
        const answer = shape(await get<T>(path));
        if (gone) return;
        setValue(answer);
        setError(null);
      } catch (fault) {
        if (gone) return;
        setError(fault instanceof CallError ? fault : new CallError(0, String(fault)));
      }
      // A tab that nobody sees asks seldom.
      timer = window.setTimeout(ask, document.hidden ? everyMs * 5 : everyMs);
    };
    const seen = () => {
      if (document.hidden) return;
      window.clearTimeout(timer);
      void ask();
    };
    document.addEventListener("visibilitychange", seen);
    void ask();
    return () => {
      gone = true;
      window.clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [path, everyMs, turn]);
  return { value, error, refresh };
}

export interface Followed {
  run: Run | null;
  steps: Step[];
  connected: boolean;
}

/**
 * The events of a run from its beginning. A node that leaves ends the stream, and the browser goes on with the next
 * one where it was: the numbers of events are the database's. Where a node answers with an error instead, which ends
 * a stream for good, a new stream begins after the last event.
 */
export function useRunEvents(id: number | null, onEnd: () => void): Followed {
  const [followed, setFollowed] = useState<Followed>({ run: null, steps: [], connected: false });
  const ended = useRef(onEnd);
  ended.current = onEnd;
  useEffect(() => {
    setFollowed({ run: null, steps: [], connected: false });
    if (id === null) return;
    let source: EventSource | null = null;
    let timer = 0;
    let last = "0";
    let gone = false;
    const steps = new Map<number, Step>();
    let run: Run | null = null;
    let drawn = 0;
    // The beginning comes as a hundred events at once: one drawing for all of them.
    const draw = (connected: boolean) => {
      window.cancelAnimationFrame(drawn);
      drawn = window.requestAnimationFrame(() => {
        if (!gone) setFollowed({ run, steps: [...steps.values()].sort((a, b) => a.seq - b.seq), connected });
      });
    };
    const open = () => {
      source = new EventSource(`/rest/afloat/1/runs/${id}/events?after=${last}`);
      source.onopen = () => draw(true);
      source.addEventListener("step", (event) => {
        const step = shapeStep(JSON.parse(event.data) as Partial<Step>);
        steps.set(step.seq, step);
        last = event.lastEventId || last;
        draw(true);
      });
      source.addEventListener("run", (event) => {
        run = shapeRun(JSON.parse(event.data) as Partial<Run>);
        last = event.lastEventId || last;
        draw(true);
      });
      source.addEventListener("end", () => {
        source?.close();
        draw(true);
        ended.current();
      });
      source.onerror = () => {
        draw(false);
        if (source?.readyState !== EventSource.CLOSED || gone) return;
        timer = window.setTimeout(open, 500);
      };
    };
    open();
    return () => {
      gone = true;
      window.clearTimeout(timer);
      window.cancelAnimationFrame(drawn);
      source?.close();
    };
  }, [id]);
  return followed;
}

export interface Figures {
  requests: number;
  errors: number;
  p99: number | null;
}
export interface Moment {
  at: number;
  site: Figures | null;
  nodes: Record<string, Figures | null>;
}
export interface Series {
  /** In order of time. */
  moments: Moment[];
  names: string[];
  /** Why there is nothing; "" where nothing is wrong. */
  problem: string;
}

const seriesKeptMs = 2 * 3_600_000;

/**
 * What the nodes answered. The site keeps a quarter of an hour of it, this tab what it has seen of it for two hours.
 * The last moments are asked for again: a node's figures may come a little late.
 */
export function useSeries(live: boolean): Series {
  const [series, setSeries] = useState<Series>({ moments: [], names: [], problem: "" });
  const known = useRef(new Map<number, Moment>());
  useEffect(() => {
    let gone = false;
    let timer = 0;
    const figures = (line: SeriesLine, index: number): Figures | null => {
      const requests = line.requests_per_s[index] ?? null;
      return requests === null ? null : { requests, errors: line.errors_per_s[index] ?? 0, p99: line.p99_ms[index] ?? null };
    };
    const ask = async () => {
      const all = known.current;
      const last = Math.max(0, ...all.keys());
      try {
        const answer = await get<SeriesAnswer>(`/rest/afloat/1/series?since=${Math.max(0, last - 6000)}`);
        answer.at_ms.forEach((at, index) =>
          all.set(at, { at, site: figures(answer.site, index), nodes: Object.fromEntries(answer.nodes.map((node) => [node.name, figures(node, index)])) }),
        );
        for (const at of all.keys()) if (at < answer.now_ms - seriesKeptMs) all.delete(at);
        const moments = [...all.values()].sort((a, b) => a.at - b.at);
        if (!gone) setSeries({ moments, names: [...new Set(moments.flatMap((moment) => Object.keys(moment.nodes)))], problem: answer.message });
      } catch (error) {
        // What is known stays; that the site does not answer is said at the top of the page.
        if (!gone && error instanceof CallError && error.status === 404) setSeries((before) => ({ ...before, problem: error.message }));
      }
      if (!gone) timer = window.setTimeout(ask, live && !document.hidden ? 2000 : 30_000);
    };
    void ask();
    return () => {
      gone = true;
      window.clearTimeout(timer);
    };
  }, [live]);
  return series;
}

/** The time, once a second, for what counts up. */
export function useNow(running: boolean): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!running) return;
    const timer = window.setInterval(() => setNow(Date.now()), 1000);
    return () => window.clearInterval(timer);
  }, [running]);
  return now;
}
