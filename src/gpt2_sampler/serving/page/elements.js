/** The page's elements by their ids. */

export const get = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));

/** An element with some of its properties. */
export const make = (/** @type {string} */ name, /** @type {any} */ fields = {}, /** @type {any[]} */ ...inside) => {
  const made = Object.assign(document.createElement(name), fields);
  made.append(...inside);
  return made;
};
