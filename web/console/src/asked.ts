// Answers that are asked for when somebody wants them, and files.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { CallError, get } from "./api";
import { words } from "./words";

export interface Asked<T> {
  value: T | null;
  error: CallError | null;
  /** The last answer is still shown. */
  busy: boolean;
  refresh: () => void;
}

/** Asks once for each `path`; what was there stays until the next answer comes, so that nothing jumps. */
export function useAsked<T>(path: string, shape: (raw: T) => T = (raw) => raw): Asked<T> {
  const [value, setValue] = useState<T | null>(null);
  const [error, setError] = useState<CallError | null>(null);
  const [busy, setBusy] = useState(true);
  const [turn, setTurn] = useState(0);
  const shaped = useRef(shape);
  const refresh = useCallback(() => setTurn((n) => n + 1), []);
  useEffect(() => {
    let gone = false;
    setBusy(true);
    void (async () => {
      try {
        const answer = await newer(path, shaped.current);
        if (gone) return;
        setValue(answer);
        setError(null);
      } catch (fault) {
        if (!gone) setError(fault instanceof CallError ? fault : new CallError(0, String(fault)));
      }
      if (!gone) setBusy(false);
    })();
    return () => {
      gone = true;
    };
  }, [path, turn]);
  return { value, error, busy, refresh };
}

/** `shape` throws what an older node answers that knows the call but not all of it; then the next one is asked. */
async function newer<T>(path: string, shape: (raw: T) => T): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const raw = await get<T>(path);
    try {
      return shape(raw);
    } catch (fault) {
      if (attempt === 5) throw fault;
    }
  }
}

export const olderNode = () => new CallError(404, words.connection.olderNode);

/** Asks until a node gives the file, which then goes to the browser's downloads. An error never lands there as a file. */
export async function download(path: string, name: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    let answer: Response | null = null;
    try {
      answer = await fetch(path, { cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(60_000) });
      if (answer.ok) {
        const link = document.createElement("a");
        link.href = URL.createObjectURL(await answer.blob());
        link.download = name;
        link.click();
        window.setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
        return;
      }
    } catch {
      answer = null;
    }
    const told = answer ? (((await answer.json().catch(() => ({}))) as { message?: string }).message ?? "") : "";
    const older = answer?.status === 404 && told.startsWith("There is nothing at");
    if (attempt === 5 && older) throw olderNode();
    if (attempt === 5 || (answer && answer.status < 500 && !older)) throw new CallError(answer?.status ?? 0, told || words.connection.lost);
    if (!older) await new Promise((resolve) => setTimeout(resolve, 150 * attempt));
  }
}
