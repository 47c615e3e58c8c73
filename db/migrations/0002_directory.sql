-- The directory: organizations, their members, groups and custom roles.
-- Whoever changes a right holds the row of tallyd.rights_version from the first statement of its transaction on, so such
-- changes come one after the other and each sees all before it. Rows that replicas must know of carry the version of their
-- last change; memberships and groups count as changes of their users.

CREATE TABLE tallyd.organizations (
  id           uuid PRIMARY KEY,
  name         text NOT NULL,
  display_name text NOT NULL DEFAULT '',
  created_at   timestamptz NOT NULL DEFAULT now(),
  updated_at   timestamptz NOT NULL DEFAULT now(),
  version      bigint NOT NULL
);
CREATE UNIQUE INDEX organizations_name ON tallyd.organizations (lower(name));

CREATE TABLE tallyd.organization_members (
  organization_id uuid NOT NULL REFERENCES tallyd.organizations ON DELETE CASCADE,
  user_id         uuid NOT NULL REFERENCES tallyd.users ON DELETE CASCADE,
  roles           text[] NOT NULL DEFAULT '{}',  -- without the organization; organization-member goes without saying
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL DEFAULT now(),
  version         bigint NOT NULL,
  PRIMARY KEY (organization_id, user_id)
);
CREATE INDEX organization_members_user ON tallyd.organization_members (user_id);

CREATE TABLE tallyd.groups (
  id              uuid PRIMARY KEY,
  organization_id uuid NOT NULL REFERENCES tallyd.organizations ON DELETE CASCADE,
  name            text NOT NULL,
  -- A group may read itself.
  group_acl       jsonb NOT NULL GENERATED ALWAYS AS (('{"' || id::text || '": ["read"]}')::jsonb) STORED,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL DEFAULT now(),
  version         bigint NOT NULL,
  UNIQUE (organization_id, id),
  CHECK (id <> organization_id)  -- that id stands for everyone in the organization
);
CREATE UNIQUE INDEX groups_name ON tallyd.groups (organization_id, lower(name));

-- Only members of the organization are in its groups.
CREATE TABLE tallyd.group_members (
  organization_id uuid NOT NULL,
  group_id        uuid NOT NULL,
  user_id         uuid NOT NULL,
  PRIMARY KEY (group_id, user_id),
  FOREIGN KEY (organization_id, group_id) REFERENCES tallyd.groups (organization_id, id) ON DELETE CASCADE,
  FOREIGN KEY (organization_id, user_id) REFERENCES tallyd.organization_members (organization_id, user_id) ON DELETE CASCADE
);
CREATE INDEX group_members_member ON tallyd.group_members (organization_id, user_id);
CREATE INDEX group_members_user ON tallyd.group_members (user_id);

-- A permission is `type:action`, with `-` before a negative one.
CREATE TABLE tallyd.custom_roles (
  organization_id    uuid NOT NULL REFERENCES tallyd.organizations ON DELETE CASCADE,
  name               text NOT NULL CHECK (name ~ '^[A-Za-z0-9._-]{1,64}$'),
  display_name       text NOT NULL DEFAULT '',
  is_system          boolean NOT NULL DEFAULT false,
  org_permissions    text[] NOT NULL DEFAULT '{}',
  member_permissions text[] NOT NULL DEFAULT '{}',
  created_at         timestamptz NOT NULL DEFAULT now(),
  updated_at         timestamptz NOT NULL DEFAULT now(),
  version            bigint NOT NULL,
  PRIMARY KEY (organization_id, name)
);
CREATE INDEX custom_roles_version ON tallyd.custom_roles (version, organization_id, name);

CREATE TABLE tallyd.custom_roles_deleted (
  organization_id uuid NOT NULL,
  name            text NOT NULL,
  deleted_at      timestamptz NOT NULL DEFAULT now(),
  version         bigint NOT NULL,
  PRIMARY KEY (organization_id, name)
);
CREATE INDEX custom_roles_deleted_version ON tallyd.custom_roles_deleted (version, organization_id, name);
CREATE INDEX users_deleted_version ON tallyd.users_deleted (version, id);

-- Whose token it is: the user's own, or the one of the owner of the agent's workspace.
ALTER TABLE tallyd.api_tokens ADD COLUMN owner_id uuid GENERATED ALWAYS AS (coalesce(user_id, agent_owner)) STORED;
DROP INDEX tallyd.api_tokens_user;
CREATE INDEX api_tokens_owner ON tallyd.api_tokens (owner_id, created_at DESC, id DESC) WHERE owner_id IS NOT NULL;
CREATE INDEX api_tokens_system ON tallyd.api_tokens (system_subject) WHERE system_subject <> '';
CREATE INDEX api_tokens_newest ON tallyd.api_tokens (created_at DESC, id DESC);
CREATE INDEX api_tokens_ended ON tallyd.api_tokens (least(revoked_at, expires_at))
  WHERE least(revoked_at, expires_at) IS NOT NULL;

-- Changes up to here may be incomplete: rows that told of an end are past their retention. A replica that knows less than
-- this reads everything there is, and drops what it does not find.
ALTER TABLE tallyd.rights_version ADD COLUMN purged_version bigint NOT NULL DEFAULT 0;
