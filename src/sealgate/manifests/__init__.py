"""Policy files and objects: loaded, checked, and made a policy set."""
