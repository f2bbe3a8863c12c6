// Small pieces that the pages share.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { CallError } from "./api";
import type { Polled } from "./live";
import { words } from "./words";

export function duration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 1) return "under 1 s";
  if (seconds < 9.95) return `${seconds.toFixed(1).replace(/\.0$/, "")} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ""}`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

export function clock(ms: number): string {
  return new Date(ms).toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
}

/** With seconds, of today. */
export function exactClock(ms: number): string {
  return new Date(ms).toLocaleTimeString("en-GB");
}

/** Text of the server, in which commands stand between backquotes. */
export function Said({ text }: { text: string }) {
  return <>{text.split("`").map((piece, at) => (at % 2 ? <code key={at}>{piece}</code> : piece))}</>;
}

/** A command as it is to be pasted. Where the browser keeps the clipboard from this page (plain HTTP), it is selected. */
export function Command({ text, label, tall }: { text: string; label: string; tall?: boolean }) {
  const code = useRef<HTMLElement>(null);
  const [said, setSaid] = useState("");
  useEffect(() => {
    if (!said) return;
    const timer = window.setTimeout(() => setSaid(""), 3000);
    return () => window.clearTimeout(timer);
  }, [said]);
  const copy = async () => {
    if (code.current) window.getSelection()?.selectAllChildren(code.current);
    try {
      await navigator.clipboard.writeText(text);
      setSaid(words.copied);
    } catch {
      // Old, and just what is there without the other one.
      setSaid(document.execCommand("copy") ? words.copied : words.selected);
    }
  };
  return (
    <div class="command">
      <pre class={tall ? "command-tall" : ""} tabIndex={0} role="region" aria-label={label}>
        <code ref={code}>{text}</code>
      </pre>
      <button type="button" class="button quiet" aria-label={`${words.copyOfText}: ${label}`} onClick={() => void copy()}>
        {said || words.copyOfText}
      </button>
    </div>
  );
}

export type Tone = "good" | "busy" | "waits" | "bad" | "plain";
export function Badge({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return <span class={`badge badge-${tone}`}>{children}</span>;
}

/** Draws the place of what is still on its way, as high as it will be. */
export function Waiting({ lines, rem }: { lines: number; rem?: number }) {
  return (
    <div class="waiting" role="status" style={rem ? { height: `${rem}rem` } : {}}>
      <span class="hidden">{words.loading}</span>
      {Array.from({ length: lines }, (_, at) => (
        <span class="waiting-line" key={at} aria-hidden="true" />
      ))}
    </div>
  );
}

export function Trouble({ error }: { error: CallError | null }) {
  if (!error) return null;
  if (error.status === 401)
    return (
      <p class="notice notice-bad" role="alert">
        {words.connection.ended}{" "}
        <a href={`/login?next=${encodeURIComponent(location.pathname + location.search)}`}>{words.connection.signIn}</a>
      </p>
    );
  return (
    <p class="notice" role="status">
      {error.status === 403 ? words.connection.forbidden : error.status === 0 || error.status >= 500 ? words.connection.lost : error.message}
    </p>
  );
}

/** A part of a page whose content is an answer of the site: its place while it is on its way, then `children` of it. */
export function Part<T>({ id, title, from, lines, rem, children }: { id: string; title: string; from: Polled<T>; lines: number; rem?: number; children: (value: T) => ComponentChildren }) {
  return (
    <section class="panel-box" aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      {from.error && !from.value && from.error.status !== 0 && from.error.status < 500 ? (
        <p class="notice">
          <Said text={from.error.message} />
        </p>
      ) : (
        <Trouble error={from.error} />
      )}
      {from.value ? children(from.value) : !from.error && <Waiting lines={lines} rem={rem} />}
    </section>
  );
}
