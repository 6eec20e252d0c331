-- Health of a CapabilityDispatch for Argo CD, which runs this script without string functions.
local health = {
  Queued = "Progressing",
  Dispatched = "Progressing",
  AwaitingLocalMediation = "Suspended",
  Succeeded = "Healthy",
  Failed = "Degraded",
  TimedOut = "Degraded",
  Rejected = "Degraded",
  Cancelled = "Degraded",
}
local hs = {status = "Progressing", message = "Queued"}
local status = obj.status
if status == nil or status.phase == nil then
  return hs
end
-- The health of a phase from a later version is unknown.
hs.status = health[status.phase] or "Unknown"
hs.message = status.phase
if status.error ~= nil then
  hs.message = hs.message .. ", " .. status.error.code
  if status.error.message ~= nil then
    hs.message = hs.message .. ": " .. status.error.message
  end
elseif status.mediation ~= nil and status.phase == "AwaitingLocalMediation" then
  hs.message = hs.message .. ": " .. (status.mediation.askedUser or "a person") .. " is asked at the machine"
elseif status.progress ~= nil and hs.status == "Progressing" then
  hs.message = hs.message .. ", " .. (status.progress.percent or 0) .. " %"
end
if status.execution ~= nil and hs.status == "Degraded" then
  hs.message = hs.message .. " (execution " .. status.execution .. ")"
end
return hs
