// A filter of several values, of which any will do: each is a button that removes it, and a field adds more.

import { button, element } from "./elements.js";
import { inLine, shortened } from "./texts.js";

const LABEL = 100; // characters of a value on a button

/** The filter inside a group of the page. `changed` is called when the user added or removed a value. */
export function severalOf(group, changed) {
  const chosen = group.querySelector(".chosen");
  const field = group.querySelector("input:not([type])");
  const suggested = group.querySelector(".suggested");
  let values = [];

  function show(next) {
    values = next;
    chosen.replaceChildren(...values.map((value) => element("li", null, button(shortened(value, LABEL), () => remove(value), {
      "aria-label": `Remove ${inLine(value)}`, title: "Remove", dir: "auto",
    }))));
  }

  function remove(value) {
    show(values.filter((one) => one !== value));
    field.focus(); // the button is gone
    changed();
  }

  /** Take what was typed as a value. */
  function take() {
    const value = field.value.trim();
    field.value = "";
    if (value && !values.includes(value)) show([...values, value]);
    return Boolean(value);
  }

  field.addEventListener("change", () => take() && changed());
  field.addEventListener("input", (event) => {
    if (event.inputType === "insertReplacementText" && take()) changed(); // chosen from the list
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing || !field.value.trim()) return;
    event.preventDefault();
    if (take()) changed();
  });

  return {
    show,
    values: () => values,
    take,
    /** Offer values that hits have, each with how many have it; an empty list offers none. */
    suggest(counts, add) {
      const offered = counts.filter(([value]) => !values.includes(value)).slice(0, 6);
      const buttons = offered.map(([value, count]) => button(shortened(value, LABEL), () => add([...values, value]), {
        "aria-label": `Only ${inLine(value)}, ${count} of these results`, dir: "auto",
      }));
      buttons.forEach((made, number) => made.append(" ", element("span.number", null, String(offered[number][1]))));
      suggested.replaceChildren(...buttons);
    },
  };
}
