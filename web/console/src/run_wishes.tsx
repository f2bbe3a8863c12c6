// What is wished of a run, beside the version and the hold: closed until somebody wants it.
import { wishesWords as w } from "./words_wishes";

export interface Wishes {
  soak: string;
  onFailure: string;
  surge: string;
  at: string; // as the browser's fields for a time have them: local, to the minute
  notAfter: string;
  chain: boolean;
}
export const usualWishes: Wishes = { soak: "usual", onFailure: "pause", surge: "when_needed", at: "", notAfter: "", chain: false };

const moment = (text: string) => (text ? new Date(text).getTime() : 0);

/** What keeps these wishes from being sent, by field. */
export function faultsOf(wishes: Wishes, now = Date.now()): { at?: string; notAfter?: string } {
  const [at, notAfter] = [moment(wishes.at), moment(wishes.notAfter)];
  return {
    ...(at && at < now ? { at: w.past } : {}),
    ...(notAfter && notAfter <= now ? { notAfter: w.past } : at && notAfter && notAfter <= at ? { notAfter: w.order } : {}),
  };
}

/** As POST /rest/afloat/1/runs takes them; what is as usual is left to the site. */
export function optionsOf(wishes: Wishes, offline: boolean): Record<string, unknown> {
  const always = {
    ...(wishes.onFailure !== usualWishes.onFailure && { on_failure: wishes.onFailure }),
    ...(wishes.at && { not_before_ms: moment(wishes.at) }),
    ...(wishes.notAfter && { not_after_ms: moment(wishes.notAfter) }),
  };
  if (offline) return always;
  return {
    ...always,
    ...(wishes.soak !== "usual" && { soak_ms: Number(wishes.soak) }),
    ...(wishes.surge !== usualWishes.surge && { surge: wishes.surge }),
    ...(wishes.chain && { finalize_intermediate: true }),
  };
}

function Choice({ id, label, hint, of, value, choose }: { id: string; label: string; hint?: string; of: Record<string, string>; value: string; choose: (value: string) => void }) {
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => choose(event.currentTarget.value)} aria-describedby={hint ? `${id}-hint` : undefined}>
        {Object.entries(of).map(([key, text]) => (
          <option key={key} value={key}>
            {text}
          </option>
        ))}
      </select>
      {hint && (
        <span class="meta" id={`${id}-hint`}>
          {hint}
        </span>
      )}
    </div>
  );
}

function Moment({ id, label, hint, fault, value, choose }: { id: string; label: string; hint: string; fault?: string; value: string; choose: (value: string) => void }) {
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input id={id} type="datetime-local" value={value} onInput={(event) => choose(event.currentTarget.value)} aria-describedby={`${id}-hint`} aria-invalid={fault ? true : undefined} />
      <span class={fault ? "meta fault" : "meta"} id={`${id}-hint`}>
        {fault ?? hint}
      </span>
    </div>
  );
}

/** `hops`: more than one has releases in between. `offline`: with downtime, where no node is compared or added. */
export function WishesFields({ wishes, change, hops, offline }: { wishes: Wishes; change: (wishes: Wishes) => void; hops: number; offline: boolean }) {
  const set = (part: Partial<Wishes>) => change({ ...wishes, ...part });
  const faults = faultsOf(wishes);
  return (
    <details class="wishes">
      <summary>{w.title}</summary>
      <div class="wishes-fields">
        {!offline && <Choice id="wish-soak" label={w.soak} hint={w.soakHint} of={w.soaks} value={wishes.soak} choose={(soak) => set({ soak })} />}
        <Choice id="wish-failure" label={w.onFailure} of={w.failures} value={wishes.onFailure} choose={(onFailure) => set({ onFailure })} />
        {!offline && <Choice id="wish-surge" label={w.surge} hint={w.surgeHint} of={w.surges} value={wishes.surge} choose={(surge) => set({ surge })} />}
        <Moment id="wish-at" label={w.at} hint={offline ? w.atHintOffline : w.atHint} fault={faults.at} value={wishes.at} choose={(at) => set({ at })} />
        <Moment id="wish-not-after" label={w.notAfter} hint={offline ? w.notAfterHintOffline : w.notAfterHint} fault={faults.notAfter} value={wishes.notAfter} choose={(notAfter) => set({ notAfter })} />
      </div>
      {hops > 1 && !offline && (
        <label class="tick">
          <input type="checkbox" checked={wishes.chain} onChange={(event) => set({ chain: event.currentTarget.checked })} />
          <span>
            {w.chain}
            <span class="meta">{w.chainHint}</span>
          </span>
        </label>
      )}
    </details>
  );
}
