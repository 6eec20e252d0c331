-- Health of a nodes.mooring.dev for Argo CD. A machine that is switched off is not broken: it is
-- Progressing until it connects.
local status = obj.status or {}
local trust = status.trust or "Pending"
local presence = status.presence or "Offline"
local hs = {status = "Progressing", message = presence .. ", " .. trust}
if trust == "Revoked" or trust == "Expired" then
  hs.status = "Degraded"
elseif trust == "Suspended" then
  hs.status = "Suspended"
elseif trust ~= "Trusted" and trust ~= "Pending" then
  hs.status = "Unknown"
elseif trust == "Trusted" and (presence == "Online" or presence == "Degraded") then
  hs.status = "Healthy" -- a Node with an unavailable capability is Ready: it runs dispatches of the others
end
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" and condition.status ~= "True" and condition.message ~= nil and condition.message ~= "" then
    hs.message = hs.message .. ": " .. condition.message
  end
end
return hs
