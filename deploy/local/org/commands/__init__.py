"""All commands, noun by noun."""

from deploy.local.org.commands import access, invitations, keys, organizations, others

COMMANDS = (
    *organizations.COMMANDS,
    *access.COMMANDS,
    *invitations.COMMANDS,
    *keys.COMMANDS,
    *others.COMMANDS,
)
NOUNS = {
    "quota": "what an organization may use",
    "member": "who is in it",
    "role": "what members may do",
    "invitation": "who is asked to join",
    "key": "API keys",
    "service-account": "accounts for programs",
    "region": "regions of its own",
    "audit": "what happened",
}
