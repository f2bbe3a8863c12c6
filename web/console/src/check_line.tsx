// One check of the site, as every page shows it: how it came out, what was found, why it matters, what to do.
import type { Check } from "./api";
import { Badge, Said } from "./parts";
import type { Tone } from "./parts";
import { words } from "./words";

const w = words.plan;

export const checkTones: Record<Check["result"], Tone> = { pass: "good", warn: "waits", fail: "bad", unknown: "plain" };
/** Worst first. */
export const order: Check["result"][] = ["fail", "warn", "unknown", "pass"];

/** `here`: what to do, where it can be done on this very page. */
export function CheckLine({ check, here }: { check: Check; here?: string }) {
  return (
    <li class={`check check-${check.result}`}>
      <div class="check-head">
        <Badge tone={checkTones[check.result]}>{w.results[check.result] ?? check.result}</Badge>
        <strong>{check.title}</strong>
      </div>
      <dl class="check-parts">
        <div>
          <dt>{w.found}</dt>
          <dd>
            <Said text={check.found} />
          </dd>
        </div>
        {check.result !== "pass" && check.why && (
          <div>
            <dt>{w.why}</dt>
            <dd>
              <Said text={check.why} />
            </dd>
          </div>
        )}
        {check.action && (
          <div>
            <dt>{w.toDo}</dt>
            <dd>
              <Said text={here ?? check.action} />
            </dd>
          </div>
        )}
      </dl>
    </li>
  );
}
