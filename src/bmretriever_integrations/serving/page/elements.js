// Elements of the page. Strings become text nodes, so nothing in them is markup.

export const byId = (id) => document.getElementById(id);

/** Make an element: its name and classes ("p.source"), its attributes, and what is in it. What is null or "" is left out. */
export function element(name, attributes, ...children) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag);
  made.classList.add(...classes);
  for (const [key, value] of Object.entries(attributes ?? {})) made.setAttribute(key, value);
  made.append(...children.flat().filter((child) => child !== null && child !== ""));
  return made;
}

/** A button that does something. */
export function button(label, action, attributes) {
  const made = element("button", { type: "button", ...attributes }, label);
  made.addEventListener("click", () => action(made));
  return made;
}

/** A link to another site, which is told nothing of this page. */
export function link(address, ...children) {
  return element("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, ...children);
}
