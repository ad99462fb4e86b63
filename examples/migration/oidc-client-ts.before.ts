import { UserManager, WebStorageStateStore } from "oidc-client-ts";

const manager = new UserManager({
  authority: "https://keycloak.example.com/realms/todo",
  client_id: "todo-page",
  redirect_uri: `${location.origin}/callback`,
  post_logout_redirect_uri: location.origin,
  scope: "openid profile ToDoList.Read",
  automaticSilentRenew: true,
  userStore: new WebStorageStateStore({ store: sessionStorage }),
});

export async function start(): Promise<string | null> {
  if (location.pathname === "/callback") {
    await manager.signinRedirectCallback();
    history.replaceState(null, "", "/");
  }
  return (await manager.getUser())?.profile.name ?? null;
}

export const signIn = () => manager.signinRedirect();
export const signOut = () => manager.signoutRedirect();
export const onSignedOut = (heard: () => void) => manager.events.addUserSignedOut(heard);

export async function todos(): Promise<unknown> {
  const user = await manager.getUser();
  if (user === null || user.expired) throw new Error("Sign in first");
  const answer = await fetch("https://api.example.com/api/todolist", { headers: { Authorization: `Bearer ${user.access_token}` } });
  if (!answer.ok) throw new Error(`The API answered ${answer.status}`);
  return answer.json();
}
