"""The board in the browser: `ditmos ui`. Pages draw; what they show and do is in plain modules, which use no page."""
