// The page that a foreign or old sign-out link leads to: it signs nobody out by itself, it offers to.
import { logout, user } from "/assets/bff.js";

if ((await user()).authenticated) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button quiet";
  button.textContent = "Sign out";
  button.addEventListener("click", () => logout());
  document.querySelector(".actions").append(button);
}
