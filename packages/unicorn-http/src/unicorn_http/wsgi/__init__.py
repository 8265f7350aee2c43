"""The WSGI gateway (PEP 3333): between a request and an application, for every worker class that blocks."""
