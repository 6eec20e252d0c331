-- Health of a PairingRequest for Argo CD: a Pending request waits for an approver.
local health = {
  Pending = "Suspended",
  Approved = "Progressing",
  Completed = "Healthy",
  Denied = "Degraded",
  Expired = "Degraded",
  Failed = "Degraded",
}
local hs = {status = "Progressing", message = "not looked at yet"}
local status = obj.status
if status == nil or status.phase == nil then
  return hs
end
hs.status = health[status.phase] or "Unknown"
hs.message = status.phase
for _, condition in ipairs(status.conditions or {}) do
  if condition.status == "False" and condition.message ~= nil and condition.message ~= "" then
    hs.message = status.phase .. ": " .. condition.message
  end
end
return hs
