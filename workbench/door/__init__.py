"""The door: who may come in to the hub's API and to the desk, from where, how often, and what they may do there.

One `Gate` judges every request before anything else sees it; `Door` (ASGI) puts it before the API, `views/guard.py` before the
desk. Both ask the same book of guests (`GuestBook`): people with passwords, programs with tokens, each with a role.

What stands behind it: order authority, keys, positions, the data plan's quota, and the machine itself.

Threat model
------------
=====================================================  =====================================================================
threat                                                 what stands against it
=====================================================  =====================================================================
a port open to the network by habit                    this machine only, unless TLS (or a declared proxy), a log-in and a
                                                       256-bit cookie secret are all there (`address.py`)
a web page the trader visits asks our server           exact Origin, Sec-Fetch-Site, SameSite=Strict, XSRF token; no CORS
that page's name is re-pointed at this machine         exact Host list (DNS rebinding)
passwords are guessed                                  scrypt; 5 failures lock the name and the address, longer each time;
                                                       an unknown name takes as long as a known one
passwords or tokens are read from a stolen file        salted scrypt, SHA-256 of 256 random bits; file mode 0600 or refused
a token in a URL, hence in logs and Referer            headers only; in a query it is refused and named as leaked
a cookie is forged or old                              signed (HMAC-SHA256), 12 hours, dies with the password it was given for
too much at once                                       rate per address and caller, connections per address, sizes of request
a screen shown inside another page                     frame-ancestors 'none'
a script slipped into data shown                       API: CSP allows nothing. Desk: no foreign script, no foreign connection,
                                                       but inline scripts and eval stay allowed, because Bokeh needs both
=====================================================  =====================================================================

Not covered
-----------
- A person or program with this user's rights on this machine: it can read the files and talk to loopback. Without
  `password_file` every local user of the machine may use desk and API: switch it on where others log in.
- A stolen cookie within its 12 hours: logging out removes it from the browser; changing the password ends it everywhere.
- A page or stream that is open stays open when its session or token ends; the next request is refused.
- A proxy that is reached around: `behind_proxy` trusts that only the proxy can reach the port.
- Floods from many addresses, slow headers, the network's own weaknesses: a proxy's business.
- Locking a name lets a stranger who can reach the port lock its owner out; sessions that are open and tokens keep working.
- Counters (failures, rates) live in each process and start again with it.

Floor 1: imports floor 0, standard library, tornado's signed cookies.
"""
