import { InteractionRequiredAuthError, PublicClientApplication } from "@azure/msal-browser";

const scopes = ["api://API-ID/ToDoList.Read"];
const msal = new PublicClientApplication({
  auth: { clientId: "CLIENT-ID", authority: "https://SUBDOMAIN.ciamlogin.com/", redirectUri: "/" },
  cache: { cacheLocation: "sessionStorage" },
});

export async function start(): Promise<string | null> {
  await msal.initialize();
  const answer = await msal.handleRedirectPromise();
  const account = answer?.account ?? msal.getAllAccounts()[0] ?? null;
  msal.setActiveAccount(account);
  return account?.name ?? null;
}

export const signIn = () => msal.loginRedirect({ scopes });
export const signOut = () => msal.logoutRedirect();

export async function todos(): Promise<unknown> {
  try {
    const { accessToken } = await msal.acquireTokenSilent({ scopes });
    const answer = await fetch("https://api.example.com/api/todolist", { headers: { Authorization: `Bearer ${accessToken}` } });
    if (!answer.ok) throw new Error(`The API answered ${answer.status}`);
    return await answer.json();
  } catch (error) {
    if (error instanceof InteractionRequiredAuthError) await msal.acquireTokenRedirect({ scopes });
    throw error;
  }
}
