// OAuth 2.0 Form Post Response Mode: the form posts itself. Without scripts its button does.
document.getElementById("response").submit();
