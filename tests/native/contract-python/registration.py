"""What the plugin says about itself."""

REGISTRATION = {
    "name": "contract-suite",
    "version": "1.2.3",
    "description": "Does what a test asks for",
    "author": "GoatKit",
    "license": "Apache-2.0",
    "homepage": "https://example.com/contract",
    "routes": [
        {
            "method": "GET",
            "path": "/api/plugins/contract/:id",
            "handler": "echo",
            "middleware": ["auth", "admin"],
            "description": "One",
        }
    ],
    "menu_items": [
        {
            "id": "contract",
            "label": "contract.menu",
            "icon": "goat",
            "path": "/contract",
            "location": "agent",
            "parent": "tickets",
            "order": 7,
            "children": [{"id": "below", "label": "Below", "path": "/contract/below", "location": "agent"}],
        }
    ],
    "widgets": [
        {
            "id": "w",
            "title": "Widget",
            "description": "Shows it",
            "handler": "echo",
            "location": "agent_home",
            "size": "small",
            "order": 3,
            "refreshable": True,
            "refresh_sec": 30,
        }
    ],
    "jobs": [
        {
            "id": "j",
            "handler": "nothing",
            "schedule": "*/5 * * * *",
            "description": "Does it",
            "enabled": True,
            "timeout": "30s",
        }
    ],
    "i18n": {
        "namespace": "contract",
        "languages": ["de", "en"],
        "translations": {"de": {"menu": "Vertrag <ä>"}, "en": {"menu": "Contract"}},
    },
    "error_codes": [{"code": "broken", "message": "It is broken", "http_status": 418}],
    "hide_menu_items": ["queues"],
    "landing_page": "/contract",
    "min_host_version": "0.6.0",
    "resources": {
        "memory_mb": 64,
        "call_timeout": "20s",
        "permissions": [
            {"type": "db", "access": "read", "scope": ["ticket"]},
            {"type": "cache", "access": "readwrite"},
        ],
    },
}
