import { fetch, login, logout, user } from "/assets/bff.js";

const TODOS = "/api/todolist";
const element = (id) => document.getElementById(id);

async function show() {
  const todos = await (await fetch(TODOS)).json();
  element("todos").replaceChildren(...todos.map(row));
}

function row({ id, description }) {
  const item = document.createElement("li");
  const remove = document.createElement("button");
  remove.textContent = `Remove ${description}`;
  remove.addEventListener("click", async () => {
    await fetch(`${TODOS}/${encodeURIComponent(id)}`, { method: "DELETE" });
    await show();
  });
  item.append(description, " ", remove);
  return item;
}

element("add").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = JSON.stringify({ description: event.target.description.value });
  await fetch(TODOS, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  event.target.reset();
  await show();
});
element("sign-in").addEventListener("click", () => login());
element("sign-out").addEventListener("click", () => logout());

const somebody = await user();
element("who").textContent = somebody.authenticated ? `Hi ${somebody.claims.name}!` : "Nobody is signed in.";
for (const id of ["sign-out", "add"]) element(id).hidden = !somebody.authenticated;
element("sign-in").hidden = somebody.authenticated;
if (somebody.authenticated) await show();
