// A dialog with a form: what is to be filled in, and what came of it.
import { useId, useState } from "preact/hooks";
import { Dialog } from "./dialog";

export interface Field {
  name: string;
  label: string;
  type?: "text" | "email" | "password" | "checkbox";
  value?: string;
  required?: boolean;
  minLength?: number;
  hint?: string;
}
export type Filled = Record<string, string>;
export interface FormQuestion {
  title: string;
  lead?: string;
  fields: Field[];
  confirm: string;
  showPassword?: string;
  /** A ticked box is "true". */
  act: (filled: Filled) => Promise<void>;
}

export function FormAsk({ question, onClose }: { question: FormQuestion; onClose: () => void }) {
  const [filled, setFilled] = useState<Filled>(() => Object.fromEntries(question.fields.map((field) => [field.name, field.value ?? ""])));
  const [shown, setShown] = useState(false);
  const id = useId();
  const set = (name: string, value: string) => setFilled((before) => ({ ...before, [name]: value }));
  return (
    <Dialog title={question.title} confirm={question.confirm} act={() => question.act(filled)} onClose={onClose}>
      {question.lead && <p class="form-lead">{question.lead}</p>}
      {question.fields.map((field) =>
        field.type === "checkbox" ? (
          <label class="tick" key={field.name}>
            <input type="checkbox" checked={filled[field.name] === "true"} onChange={(event) => set(field.name, String(event.currentTarget.checked))} />
            <span>
              {field.label}
              {field.hint && <span class="meta">{field.hint}</span>}
            </span>
          </label>
        ) : (
          <div class="field" key={field.name}>
            <label for={`${id}-${field.name}`}>{field.label}</label>
            <input
              id={`${id}-${field.name}`}
              type={field.type === "password" && shown ? "text" : (field.type ?? "text")}
              value={filled[field.name] ?? ""}
              required={field.required}
              minLength={field.minLength}
              maxLength={255}
              autocomplete={field.type === "password" ? "new-password" : "off"}
              spellcheck={false}
              aria-describedby={field.hint ? `${id}-${field.name}-hint` : undefined}
              onInput={(event) => set(field.name, event.currentTarget.value)}
            />
            {field.hint && (
              <span class="meta" id={`${id}-${field.name}-hint`}>
                {field.hint}
              </span>
            )}
            {field.type === "password" && question.showPassword && (
              <label class="tick show-password">
                <input type="checkbox" checked={shown} onChange={(event) => setShown(event.currentTarget.checked)} />
                {question.showPassword}
              </label>
            )}
          </div>
        ),
      )}
    </Dialog>
  );
}
