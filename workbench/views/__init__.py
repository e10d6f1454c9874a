"""What people look at: thin Panel and Bokeh views over the hub's read interface. Floor 8; nothing below imports it."""
