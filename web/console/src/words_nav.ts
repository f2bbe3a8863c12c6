// The titles of the console's pages, as administrators of such wikis know them.
export const nav = {
  configuration: "Configuration",
  people: "Users and security",
  administration: "Administration",
  open: "Choose another page",
  settings: "General settings",
  users: "Users and groups",
  clustering: "Clustering",
  history: "Upgrade history",
  support: "Troubleshooting and support tools",
  audit: "Audit log",
};
