import { fetch, login, logout, onSessionChange, user } from "sealed-bff";

export async function start(): Promise<string | null> {
  const somebody = await user();
  return somebody.authenticated ? String(somebody.claims.name) : null;
}

export const signIn = () => login({ returnTo: "/" });
export const signOut = () => logout();
export const onSignedOut = (heard: () => void) =>
  onSessionChange((change) => {
    if (change.kind === "signed-out") heard();
  });

export async function todos(): Promise<unknown> {
  return (await fetch("/api/todolist")).json();
}
